import shutil
from collections.abc import Iterator

import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from digits.page import Picture, Section, Table, write_page

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
OPTIONS = (
    *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run"),
    *("disable-background-networking", "disable-component-update", "disable-sync"),
)

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="there is no chromium with its chromedriver here"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A phone of 400 pixels' width in dark mode, which shows a page with everything on it."""
    folder = tmp_path_factory.mktemp("browser")
    Image.new("RGB", (900, 300), "red").save(folder / "red.png")
    wide = Table([f"column {n}" for n in range(12)], [["1,000"] * 12, ["x" * 30] + ["2"] * 11])
    sections = [
        Section("First", "word " * 100, [wide], [Picture(folder / "red.png", "red")]),
        Section("Second", "x" * 300),
    ]
    write_page(folder / "page.html", "A page", "Lead.", sections)

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for option in (*OPTIONS, f"user-data-dir={folder / 'profile'}"):
        options.add_argument(f"--{option}")
    driver = webdriver.Chrome(options, Service(DRIVER))
    try:
        phone = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
        driver.get((folder / "page.html").as_uri())
        yield driver
    finally:
        driver.quit()


def test_the_policy_lets_the_page_show_its_own_pictures(browser: webdriver.Chrome) -> None:
    assert browser.execute_script("return document.images[0].naturalWidth") == 900


def test_nothing_is_loaded(browser: webdriver.Chrome) -> None:
    loaded = "return performance.getEntriesByType('resource').map(entry => entry.name)"
    assert all(name.startswith("data:") for name in browser.execute_script(loaded))
    log = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert not [line for line in log if line["level"] == "SEVERE"]


def test_a_phone_need_not_be_scrolled_sideways(browser: webdriver.Chrome) -> None:
    assert browser.execute_script("return innerWidth") == 400
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 400
    assert browser.execute_script("return document.images[0].width") <= 400


def test_dark_mode_has_light_ink_on_a_dark_ground(browser: webdriver.Chrome) -> None:
    def brightness(of: str) -> float:
        colour = browser.execute_script(f"return getComputedStyle(document.body).{of}")
        return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))) / 3

    assert brightness("color") > 200
    assert brightness("backgroundColor") < 50


def test_numbers_are_aligned_at_the_right(browser: webdriver.Chrome) -> None:
    cells = "[...document.querySelectorAll('tbody tr:first-child td')]"
    alignments = browser.execute_script(
        f"return {cells}.map(cell => getComputedStyle(cell).textAlign)"
    )
    assert alignments == ["left"] + ["right"] * 11
