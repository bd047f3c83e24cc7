"""The page of `digits draw` as a person uses it: strokes, undo, two networks, a ZIP of drawings."""

import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pages import NEEDS_BROWSER, browser, elements, emulate_phone, requests, wait_for
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from support import train

import digits
from digits.__main__ import main
from digits.predict.predict import predict

pytestmark = NEEDS_BROWSER
SEVEN = [(0.25, 0.22), (0.5, 0.2), (0.75, 0.22), (0.62, 0.45), (0.52, 0.62), (0.45, 0.85)]
ONE = [(0.5, 0.15), (0.5, 0.4), (0.49, 0.6), (0.49, 0.85)]
TICK = [(0.1, 0.9), (0.15, 0.92)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    options = ("data=sample", "trainer=cpu", "logger=none", "optim=adamw", "trainer.max_epochs=8")
    train(folder / "plain", *options)
    cnn = ("model=cnn", "model.channels=[8,16]", "augment=affine", "trainer.max_epochs=3")
    train(folder / "convolutional", *options, *cnn)
    return [folder / "plain", folder / "convolutional"]


@pytest.fixture
def both(runs: list[Path], tmp_path: Path) -> Iterator[Any]:
    """Yield a browser with the page of two networks."""
    assert main(["draw", *map(str, runs), "--out", str(tmp_path)]) == 0
    with browser(1200, 900) as driver:
        folder = {"behavior": "allow", "downloadPath": str(tmp_path)}
        driver.execute_cdp_cmd("Browser.setDownloadBehavior", folder)
        driver.get((tmp_path / "draw.html").as_uri())
        yield driver
        driver.execute_script("isSaved = true")  # or it asks whether to close


def write(driver: Any, points: Sequence[tuple[float, float]], kind: str = "mouse") -> None:
    """Write one stroke on the paper, whose corners are (0, 0) and (1, 1)."""
    driver.execute_script("document.getElementById('paper').scrollIntoView({block: 'center'})")
    (box,) = elements(driver, "#paper", "each => each.getBoundingClientRect().toJSON()")
    pointer: Any = PointerInput  # selenium gives these no types
    actions: Any = ActionBuilder(driver, mouse=pointer(kind, kind), duration=20)
    for number, (x, y) in enumerate(points):
        place = round(box["x"] + x * box["width"]), round(box["y"] + y * box["height"])
        actions.pointer_action.move_to_location(*place)
        if number == 0:
            actions.pointer_action.pointer_down()
    actions.pointer_action.pointer_up()
    actions.perform()


def answer(driver: Any) -> str:
    """Return what the page says next, when it has come to rest."""
    time.sleep(0.3)
    return str(driver.find_element(By.TAG_NAME, "output").text)


def bars(driver: Any) -> list[list[float]]:
    """Return the widths of each network's ten bars, as fractions."""
    widths = elements(driver, ".bars div div", "each => Number(each.style.transform.slice(7, -1))")
    return [widths[:10], widths[10:]]


def test_a_digit_is_read_while_it_is_written(both: Any) -> None:
    assert "Nothing" in answer(both)
    write(both, SEVEN)
    assert answer(both).startswith("7")
    assert "networks agree" in answer(both)
    for widths in bars(both):
        assert sum(widths) == pytest.approx(1, abs=1e-6)
        assert max(widths) == widths[7]
    shares = elements(both, ".bars .first span:last-child", "each => each.textContent")
    assert all(share == ">99%" for share, widths in zip(shares, bars(both), strict=True)
               if widths[7] > 0.995)  # fmt: skip
    # The 28 x 28 pixels, and for each network those that decided.
    decided = "each => each.dataset.done"
    wait_for(lambda: elements(both, ".decided", decided) == ["7", "7"], "pixels")
    data = "each.getContext('2d').getImageData(0, 0, 28, 28).data"
    has_greys = f"each => {data}.some(value => value > 20 && value < 255)"
    assert elements(both, ".seen canvas, .decided", has_greys) == [True] * 3
    updates = both.execute_script(
        "return performance.getEntriesByName('update').map(each => each.duration)"
    )
    assert sorted(updates)[len(updates) // 2] < 60  # ms
    assert requests(both) == [both.current_url]
    assert not [each for each in both.get_log("browser") if each["level"] == "SEVERE"]


def test_undo_clear_and_keys(both: Any) -> None:
    write(both, SEVEN)
    before = answer(both), bars(both)
    write(both, [(0.2, 0.9), (0.8, 0.9), (0.8, 0.1)])
    assert (answer(both), bars(both)) != before
    both.find_element(By.XPATH, "//button[.='Undo']").click()
    assert (answer(both), bars(both)) == before
    write(both, TICK)
    both.find_element(By.ID, "paper").send_keys(Keys.CONTROL + "z")
    assert (answer(both), bars(both)) == before
    both.find_element(By.XPATH, "//button[.='Clear']").click()
    both.find_element(By.XPATH, "//button[.='Undo']").click()
    assert (answer(both), bars(both)) == before
    both.find_element(By.XPATH, "//button[.='Clear']").click()
    write(both, [(0.5, 0.5)])
    assert "Nothing" not in answer(both)  # a dot
    both.find_element(By.XPATH, "//button[.='Clear']").click()
    assert "Nothing" in answer(both) and not any(map(any, bars(both)))
    write(both, ONE)
    assert answer(both).startswith("1")
    both.find_element(By.ID, "paper").send_keys(Keys.ESCAPE)
    assert "Nothing" in answer(both)
    # By keyboard alone: lower the pen, draw down, lift it.
    both.find_element(By.ID, "paper").send_keys(" ", *[Keys.ARROW_DOWN] * 22, " ")
    assert answer(both).startswith("1")


def test_where_networks_disagree_is_said(both: Any) -> None:
    both.execute_script("""
        const own = networks[1].members[0].layers.at(-1), weights = networks[1].weights;
        for (let k = 0; k < 10; k++) weights[own.bias + k] = k === 4 ? 1000 : 0;
    """)
    write(both, SEVEN)
    said = answer(both)
    assert "I am not sure" in said and "The networks disagree: 1 of 2" in said
    marked = elements(both, ".network", "each => each.classList.contains('differs')")
    assert sorted(marked) == [False, True]


def test_drawings_are_saved_as_a_folder_a_digit(
    both: Any, runs: list[Path], tmp_path: Path
) -> None:
    for stroke, name in ((SEVEN, "7"), (ONE, "1"), (SEVEN, "7"), (TICK, "4")):
        write(both, stroke)
        answer(both)
        both.find_element(By.CSS_SELECTOR, f"[aria-label='Keep it as {name}']").click()
        assert "Nothing" in answer(both)  # ready for the next one
    both.find_element(By.CSS_SELECTOR, "[title='Remove this 4']").click()
    assert saved(both, tmp_path) == ["1", "7", "7"]
    # Saved with another one, and unpacked into the same folder, none of them is there twice.
    write(both, ONE)
    both.find_element(By.ID, "pen").send_keys("1")
    assert "Nothing" in answer(both)
    assert saved(both, tmp_path) == ["1", "1", "7", "7"]
    files = sorted((tmp_path / "drawings").glob("*/*.png"))
    found = predict(digits.load(runs[0]), map(str, files))
    assert [each.number() for each in found] == ["1", "1", "7", "7"]


def saved(driver: Any, folder: Path) -> list[str]:
    """Save and unpack the drawings; return the digits of all that are in the folder then."""
    driver.find_element(By.ID, "save").click()
    archive = wait_for(lambda: list(folder.glob("*.zip")), "the file")[0]
    with zipfile.ZipFile(archive) as file:
        assert file.testzip() is None
        file.extractall(folder)
        number = len(file.namelist())
    archive.unlink()
    assert f"all {number} drawings" in driver.find_element(By.ID, "status").text
    return sorted(file.parent.name for file in (folder / "drawings").glob("*/*.png"))


def test_the_keyboard_finds_its_way_when_what_it_pressed_is_gone(both: Any) -> None:
    def focused() -> str:
        return str(both.execute_script("return document.activeElement.title || "
                                       "document.activeElement.id"))  # fmt: skip

    for stroke, name in ((SEVEN, "7"), (ONE, "1"), (TICK, "4")):
        write(both, stroke)
        answer(both)
        both.find_element(By.CSS_SELECTOR, f"[aria-label='Keep it as {name}']").send_keys(" ")
        assert "Nothing" in answer(both) and focused() == "paper"
    for removed, then in (("1", "Remove this 4"), ("4", "Remove this 7"), ("7", "keep-title")):
        both.find_element(By.CSS_SELECTOR, f"[title='Remove this {removed}']").send_keys(Keys.ENTER)
        assert focused() == then
    write(both, ONE)
    answer(both)
    both.find_element(By.ID, "undo").send_keys(" ")
    assert "Nothing" in answer(both) and focused() == "paper"
    write(both, ONE)
    answer(both)
    both.find_element(By.CSS_SELECTOR, "[aria-label='Keep it as 1']").click()
    both.find_element(By.ID, "remove").send_keys(" ")
    assert focused() == "keep-title"
    assert both.find_element(By.ID, "status").text == "Nothing is kept yet."


def test_it_works_on_a_phone_with_a_finger(runs: list[Path], tmp_path: Path) -> None:
    main(["draw", *map(str, runs), "--out", str(tmp_path)])
    with browser() as driver:
        emulate_phone(driver, dark=True)
        driver.get((tmp_path / "draw.html").as_uri())
        assert driver.execute_script("return document.documentElement.scrollWidth") == 360
        write(driver, SEVEN, "touch")
        place = driver.execute_script("return scrollY")
        write(driver, [(0.3, 0.6), (0.7, 0.55)], "touch")  # a bar through it
        assert driver.execute_script("return scrollY") == place
        assert answer(driver).startswith("7")
        names = elements(driver, "button, canvas, input",
                         "each => each.ariaLabel || each.innerText.trim()")  # fmt: skip
        assert all(names)
