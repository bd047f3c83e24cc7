"""Take the README's screenshots: python tests/browser/screenshots.py RUN [RUN ...].

The first run is also evaluated. Needs Debian's chromium and chromium-driver.
"""

import io
import sys
import tempfile
import time
from pathlib import Path

from pages import browser, elements, tensorboard, wait_for
from PIL import Image
from test_writing import write

from digits.__main__ import main

DOCS = Path(__file__).parents[2] / "docs"
WIDTH = 900


def save(name: str, png: bytes) -> None:
    """Write a small picture with few colours."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)))
    picture.quantize(256).save(DOCS / f"{name}.png", optimize=True)
    print(DOCS / f"{name}.png", (DOCS / f"{name}.png").stat().st_size // 1024, "kB")


def take(runs: list[Path]) -> None:
    """Show TensorBoard on the runs, and the first one's evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        for run in runs:
            (Path(folder) / run.name).symlink_to(run.absolute())
        with tensorboard(Path(folder)) as address, browser(1200, 640) as driver:
            driver.get(f"{address}#custom_scalars")
            wait_for(lambda: len(elements(driver, "vz-line-chart2")) == 2, "the charts")
            time.sleep(4)  # drawing has no end that could be waited for
            save("tensorboard", driver.get_screenshot_as_png())
    with tempfile.TemporaryDirectory() as folder, browser(1200, 760) as driver:
        main(["evaluate", str(runs[0]), "--out", folder])
        driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        driver.get((Path(folder) / "report.html").as_uri())
        driver.execute_script("document.querySelector('.mistakes').scrollIntoView()")
        elements(driver, ".matrix [data-true='4'][data-predicted='9']", "each => each.click()")
        save("evaluation", driver.get_screenshot_as_png())
    draw(runs[:2])


def draw(runs: list[Path]) -> None:
    """Write what may be a 9 or a 4 on the page of two networks."""
    with tempfile.TemporaryDirectory() as folder, browser(1200, 880) as driver:
        main(["draw", *map(str, runs), "--out", folder])
        driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        driver.get((Path(folder) / "draw.html").as_uri())
        bow = [(0.47, 0.16), (0.34, 0.26), (0.3, 0.42), (0.4, 0.52), (0.55, 0.5)]
        write(driver, [*bow, (0.68, 0.38), (0.69, 0.17), (0.68, 0.4), (0.66, 0.62), (0.65, 0.86)])
        time.sleep(3)  # which pixels decided is computed in pauses
        driver.execute_script("scrollTo(0, 0)")
        save("draw", driver.get_screenshot_as_png())


if __name__ == "__main__":
    take([Path(argument) for argument in sys.argv[1:]])
