"""What a person sees: TensorBoard on a finished run, and the HTML reports, in a real browser."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import (
    NEEDS_BROWSER,
    browser,
    elements,
    emulate_phone,
    requests,
    tensorboard,
    wait_for,
)
from PIL import Image
from support import train

from digits.__main__ import main
from digits.page import Picture, Section, Table, write_page

pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "seen"
    train(folder, "data=sample", "trainer=cpu", "trainer.max_epochs=6")
    return folder


def screenshot(driver: Any, box: dict[str, float]) -> np.ndarray:
    """Return the colours (height, width, 3) of a part of the window."""
    whole = Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    corners = box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]
    return np.asarray(whole.crop(corners)).astype(int)


def curves_by_column(colours: np.ndarray) -> np.ndarray:
    """Count the strokes of strong colour that each column of pixels crosses."""
    strong = colours.max(axis=2) - colours.min(axis=2) > 100
    starts = strong & ~np.roll(strong, 1, axis=0)
    return np.asarray(starts.sum(axis=0))


def test_tensorboard_draws_both_losses_on_one_chart(run_dir: Path) -> None:
    with tensorboard(run_dir) as address, browser() as driver:
        driver.get(f"{address}#custom_scalars")

        def matches() -> list[str]:
            texts = elements(driver, "*", "each => each.childElementCount ? '' : each.textContent")
            return [text.strip() for text in texts if text.strip().startswith("Matches")]

        wait_for(lambda: len(matches()) == 2, "two charts")
        assert matches() == ["Matches (2)", "Matches (2)"]  # of loss, and of accuracy
        rectangle = "each => each.getBoundingClientRect().toJSON()"

        def both_curves() -> bool:
            box = elements(driver, "vz-line-chart2", rectangle)[0]
            strokes = curves_by_column(screenshot(driver, box))
            # Where the curves cross or touch, and where the axes are, there is one stroke or none.
            return int((strokes >= 2).sum()) > 0.3 * len(strokes)

        wait_for(both_curves, "two curves in the loss chart")


def test_tensorboards_hparams_show_the_runs_metrics(run_dir: Path) -> None:
    metrics = json.loads((run_dir / "metrics.json").read_text())
    with tensorboard(run_dir.parent) as address, browser() as driver:
        driver.get(f"{address}#hparams")
        table = wait_for(
            lambda: [
                text
                for text in elements(driver, "vaadin-grid", "each => each.innerText")
                if "seen" in text
            ],
            "the table of runs",
        )[0]
        cells = table.split("\n")
    for name in ("final/val_accuracy", "final/test_accuracy", "final/test_loss"):
        assert name in cells
    # The table shows five digits.
    assert f"{metrics['test/accuracy']:.5f}" in cells


def test_pages_of_reports_are_whole_and_ask_for_nothing(run_dir: Path, tmp_path: Path) -> None:
    main(["evaluate", str(run_dir), "--out", str(tmp_path / "evaluation")])
    check_page(tmp_path / "evaluation" / "report.html", num_pictures=1, text="Confusion")
    main(["explore", "--source", "sample", "--out", str(tmp_path / "data")])
    check_page(tmp_path / "data" / "index.html", num_pictures=5, text="3,500")


def check_page(page: Path, num_pictures: int, text: str) -> None:
    with browser() as driver:
        driver.get(page.as_uri())
        assert text in elements(driver, "body", "each => each.innerText")[0]
        widths = elements(driver, "img", "each => each.naturalWidth")
        assert len(widths) == num_pictures and all(widths)
        assert requests(driver) == [page.as_uri()]
        # Nothing is wider than the window.
        assert driver.execute_script(
            "return document.documentElement.scrollWidth <= window.innerWidth"
        )


def test_a_page_fits_a_phone_in_dark_mode(tmp_path: Path) -> None:
    Image.new("RGB", (900, 300), "red").save(tmp_path / "red.png")
    wide = Table([f"column {n}" for n in range(12)], [["1,000"] * 12, ["x" * 30] + ["2"] * 11])
    sections = [
        Section("First", "word " * 100, [wide], [Picture(tmp_path / "red.png", "red")]),
        Section("Second", "x" * 300),
    ]
    write_page(tmp_path / "page.html", "A page", "Lead.", sections)
    with browser() as driver:
        emulate_phone(driver, 400, dark=True)
        driver.get((tmp_path / "page.html").as_uri())
        assert driver.execute_script("return innerWidth") == 400
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 400
        assert driver.execute_script("return document.images[0].width") <= 400

        def brightness(of: str) -> float:
            colour = driver.execute_script(f"return getComputedStyle(document.body).{of}")
            return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))) / 3

        assert brightness("color") > 200
        assert brightness("backgroundColor") < 50
