import contextlib
import io
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

from digits.__main__ import main
from digits.data.sample import load_sample
from digits.exploration.splits import read_splits

PICTURES = (
    *("class_balance", "pixel_histogram", "samples", "mean_images", "std_images"),
    "faintest",
)


@dataclass
class Told:
    """What `digits explore --source sample --tensorboard` wrote and printed."""

    out: Path
    screen: str

    @property
    def page(self) -> str:
        return (self.out / "index.html").read_text()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    out = tmp_path_factory.mktemp("here") / "new" / "explore"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "120")
        with contextlib.redirect_stdout(io.StringIO()) as screen:
            assert main(["explore", "--source", "sample", "--out", str(out), "--tensorboard"]) == 0
    return Told(out, screen.getvalue())


def cells(text: str) -> set[str]:
    """The cells of all tables on the screen."""
    lines = [line for line in text.splitlines() if line.startswith(("│", "┃"))]
    return {cell.strip() for line in lines for cell in re.split("[│┃]", line)[1:-1]}


def test_every_file_is_written_and_named(told: Told) -> None:
    written = {path.name for path in told.out.iterdir()}
    events = {name for name in written if name.startswith("events.out.tfevents")}
    assert len(events) == 1
    assert written - events == {"index.html", *(f"{name}.png" for name in PICTURES)}
    for name in written - events:
        assert str(told.out / name) in told.screen
    assert (told.out / "index.html").as_uri() in told.screen
    assert f"tensorboard --logdir {told.out}" in told.screen


def test_every_picture_is_on_the_page(told: Told) -> None:
    assert told.page.count("<img ") == len(PICTURES)
    for name in PICTURES:
        with Image.open(told.out / f"{name}.png") as image:
            image.load()
            assert min(image.size) > 100


def test_screen_and_page_show_the_same_tables(told: Told) -> None:
    on_page = set(re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", told.page))
    assert on_page
    assert cells(told.screen) == on_page


def test_shapes_types_values_and_counts_are_those_of_the_sample(told: Told) -> None:
    found = cells(told.screen)
    assert {"(3500, 1, 28, 28)", "(500, 1, 28, 28)", "(1000, 1, 28, 28)", "(3500,)"} <= found
    assert {"uint8", "int64", "0", "255", "9"} <= found
    assert {"350", "50", "100", "10.00%"} <= found  # of each digit


def test_the_exact_mean_is_that_of_the_training_images(told: Told) -> None:
    _, (training, *_) = read_splits(Path("nowhere"), "sample", 500, 0)
    pixels = training.images.numpy() / 255
    found = [float(cell) for cell in cells(told.screen) if re.fullmatch(r"0\.\d{14,}", cell)]
    assert len(found) == 8
    for value in (pixels.mean(), pixels.std()):
        assert any(value == pytest.approx(each, rel=1e-12) for each in found)


def test_it_cannot_be_missed_that_this_is_the_sample(told: Told) -> None:
    for text in (told.screen, told.page):
        assert "This is the embedded sample of 5,000 images, not MNIST" in text
        assert "mnist-sample-5k" in text
        assert "pictures are of training images only" in text


def test_tensorboard_shows_pictures_tables_and_histograms(told: Told) -> None:
    events = EventAccumulator(str(told.out), size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    assert set(events.Tags()["images"]) == set(PICTURES)
    encoded = events.Images("samples")[0]
    with Image.open(told.out / "samples.png") as image:
        assert (encoded.width, encoded.height) == image.size
    texts = [events.Tensors(tag)[0].tensor_proto.string_val[0] for tag in events.Tags()["tensors"]]
    assert any(b"| (3500, 1, 28, 28) |" in text for text in texts)
    histogram = events.Histograms("pixels/test")[0].histogram_value
    pixels = load_sample("test").images.numpy()
    assert histogram.bucket == np.bincount(pixels.ravel(), minlength=256).tolist()
    assert histogram.num == pixels.size
    assert histogram.sum == pixels.sum()


def test_a_folder_that_cannot_be_written_to_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["explore", "--source", "sample", "--out", str(tmp_path / "file" / "x")]) == 1
    assert re.fullmatch(r"error: cannot write to .*; try --out FOLDER\n", capsys.readouterr().err)


def test_a_single_training_image_can_be_explored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--source", "sample", "--val-size", "3999", "--out", str(tmp_path)]
    assert main(["explore", *options]) == 0
    assert "(1, 1, 28, 28)" in capsys.readouterr().out


def test_the_statistics_of_mnist_are_the_known_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = os.environ.get("DIGITS_DATA")
    if not folder:
        pytest.skip("the environment variable DIGITS_DATA names no folder with the MNIST files")
    assert main(["explore", "--source", "local", "--out", str(tmp_path)]) == 0
    screen = capsys.readouterr().out
    assert {"(55000, 1, 28, 28)", "6,180", "1,135"} <= cells(screen)
    assert {"0.13066047627384286", "0.3081078038564627"} <= cells(screen)
    assert "not MNIST" not in screen
    assert "no two are equal" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize("verb", ["explore", "data"])
def test_the_verbs_help_needs_no_torch(verb: str) -> None:
    heavy = "torch", "pytorch_lightning", "matplotlib", "PIL", "torchmetrics"
    code = f"import sys, digits.commands.{verb}; sys.exit(any(m in sys.modules for m in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
