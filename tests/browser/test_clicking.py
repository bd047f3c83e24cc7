"""The page of `digits evaluate` as a person uses it: cells, filters, order and the keyboard."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import NEEDS_BROWSER, browser, elements, emulate_phone, requests, wait_for
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from support import train

from digits.__main__ import main

pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(folder, "data=sample", "trainer=cpu", "logger=none", "trainer.max_epochs=2")
    assert main(["evaluate", str(folder)]) == 0
    return folder / "evaluation"


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    return found


@pytest.fixture
def page(folder: Path) -> Iterator[Any]:
    with browser(1200, 900) as driver:
        driver.get((folder / "report.html").as_uri())
        yield driver


def cell(driver: Any, true: int, predicted: int) -> Any:
    where = f".matrix [data-true='{true}'][data-predicted='{predicted}']"
    return driver.find_element(By.CSS_SELECTOR, where)


def status(driver: Any) -> str:
    return str(driver.find_element(By.ID, "status").text)


def labels(driver: Any) -> list[str]:
    """Return what a screen reader says of each image that is shown, the first of its item."""
    found = elements(driver, "#images > li", "each => each.querySelector('.tile').ariaLabel")
    return [str(each) for each in found]


def choose(driver: Any, **options: str) -> None:
    for name, value in options.items():
        Select(driver.find_element(By.NAME, name)).select_by_visible_text(value)


def test_a_cell_shows_its_images_and_what_explains_them(page: Any, found: dict[str, Any]) -> None:
    mistakes = found["mistakes"]
    first = mistakes[0]
    pair = first["label"], first["predicted"]
    expected = [x for x in mistakes if (x["label"], x["predicted"]) == pair]
    assert cell(page, *pair).text == str(len(expected))
    cell(page, *pair).click()
    assert status(page).startswith(f"{pair[0]} predicted as {pair[1]}: {len(expected)} image")
    assert cell(page, *pair).get_attribute("aria-pressed") == "true"
    assert [f"Image {x['index']}," for x in expected][:20] == [
        f"{label.split(',')[0]}," for label in labels(page)
    ]
    item = page.find_element(By.CSS_SELECTOR, "#images > li")
    assert f"{first['probability']:.2%}" in item.text
    assert f"nearest of class {pair[0]}" in item.text and f"of class {pair[1]}" in item.text
    assert len(item.find_elements(By.CSS_SELECTOR, ".nearest .tile")) == 6
    # The overlay has the colours of ink that spoke for and against.
    count = """
        const [box, done] = arguments, style = getComputedStyle(box, "::after");
        const image = new Image();
        image.onload = () => {
          const canvas = Object.assign(document.createElement("canvas"), {width: 28, height: 28});
          const [x, y] = ["x", "y"].map((c) => -28 * style.getPropertyValue(`--decided-${c}`));
          const context = canvas.getContext("2d");
          context.drawImage(image, x, y);
          const { data } = context.getImageData(0, 0, 28, 28);
          done(Array.from({length: 784}, (_, i) => data[4 * i + 3]).filter(Boolean).length);
        };
        image.src = style.backgroundImage.slice(5, -2);
    """
    decided = item.find_element(By.CSS_SELECTOR, ".decided")
    assert 20 < page.execute_async_script(count, decided) < 500


def test_a_cell_of_the_diagonal_shows_the_least_sure_of_its_images(
    page: Any, found: dict[str, Any]
) -> None:
    count = found["confusion_matrix"][1][1]
    cell(page, 1, 1).click()
    assert status(page) == f"1 predicted as 1: 20 shown of {count} images"
    sure = [float(label.split()[-1].rstrip("%")) for label in labels(page)]
    assert len(sure) == 20 and sure == sorted(sure)


def test_mistakes_are_filtered_and_sorted(page: Any, found: dict[str, Any]) -> None:
    mistakes = found["mistakes"]
    assert status(page).endswith(f"{len(mistakes)} images")
    of_nine = [x for x in mistakes if x["label"] == 9]
    choose(page, true="9")
    assert status(page).startswith("9 predicted as any class: ")
    assert all(", 9 predicted as" in label for label in labels(page))
    choose(page, confidence="below 50%", order="least confident first")
    expected = sorted(x["probability"] for x in of_nine if x["probability"] < 0.5)
    assert [label.split()[-1] for label in labels(page)] == [f"{x:.2%}" for x in expected[:20]]
    page.find_element(By.CSS_SELECTOR, "[type=reset]").click()
    wait_for(lambda: status(page).startswith("All mistakes"), "all mistakes")
    choose(page, order="by predicted class")
    shown = len(labels(page))
    page.find_element(By.ID, "more").click()
    classes = [int(label.split(" predicted as ")[1][0]) for label in labels(page)]
    assert classes == sorted(classes) and len(classes) > shown == 20


def test_the_keyboard_is_enough(page: Any) -> None:
    cell(page, 0, 0).send_keys(Keys.ARROW_RIGHT)
    page.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    focused = page.switch_to.active_element
    assert focused == cell(page, 1, 1)
    focused.send_keys(Keys.ENTER)
    assert status(page).startswith("1 predicted as 1")
    assert focused.accessible_name.startswith("1 predicted as 1: ")
    for select in page.find_elements(By.TAG_NAME, "select"):
        assert select.accessible_name


def test_the_page_fits_a_phone_and_a_click_goes_to_the_images(page: Any) -> None:
    emulate_phone(page)
    assert page.execute_script("return document.documentElement.scrollWidth") <= 360
    cell(page, 5, 5).click()
    top = elements(page, "#status", "each => each.getBoundingClientRect().top")[0]
    assert 0 <= top < 500
    # The policy lets the page's own script run, and nothing out.
    assert requests(page) == [page.current_url]
    page.execute_script("fetch('http://127.0.0.1:9/').catch(() => {})")
    assert any("Content Security Policy" in x["message"] for x in page.get_log("browser"))
