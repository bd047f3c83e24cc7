import contextlib
import io
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

from digits.__main__ import main
from digits.data.datamodule import MNISTDataModule
from digits.data.datasets import load_sample
from digits.data.split import normalize
from digits.explore import (
    FIXED_NORMS,
    Split,
    class_mean_std_images,
    describe_classes,
    describe_duplicates,
    describe_near_empty,
    describe_pixels,
    explore,
    lead,
    read_splits,
)

REPO = Path(__file__).parents[1]
PICTURES = ("class_balance", "pixel_histogram", "samples", "mean_images", "std_images")


@pytest.fixture
def splits() -> list[Split]:
    """Make three small splits of random images, none of them equal to another."""
    generator = torch.Generator().manual_seed(0)
    splits = []
    for name, size in {"training": 40, "validation": 20, "test": 30}.items():
        images = torch.randint(256, (size, 1, 28, 28), generator=generator, dtype=torch.uint8)
        splits.append(Split(name, images, torch.arange(size) % 10))
    return splits


@pytest.mark.parametrize(("val_size", "seed"), [(300, 7), (None, 0)])
def test_the_splits_are_those_of_a_run(val_size: int | None, seed: int, tmp_path: Path) -> None:
    dataset, (training, validation, test) = read_splits(tmp_path, "sample", val_size, seed)
    assert dataset == "mnist-sample-5k"
    options: dict[str, Any] = {} if val_size is None else {"val_size": val_size}
    run = MNISTDataModule(tmp_path, "sample", split_seed=seed, **options)
    run.setup("fit")
    official = load_sample("train")
    for split, indices in ((training, run.train_indices), (validation, run.val_indices)):
        assert official.images[indices].equal(split.images)
        assert official.labels[indices].equal(split.labels)
    assert test.images.equal(load_sample("test").images)


def test_each_digit_is_counted_with_its_share(splits: list[Split], tmp_path: Path) -> None:
    splits[0].labels[splits[0].labels == 4] = 7
    section = describe_classes(splits, tmp_path)
    *digits, of_all = section.tables[0].rows
    for place, split in enumerate(splits):
        counted = Counter(split.labels.tolist())
        for digit, row in enumerate(digits):
            assert int(row[1 + 2 * place]) == counted[digit]
            share = float(row[2 + 2 * place].rstrip("%"))
            assert share == pytest.approx(100 * counted[digit] / len(split.labels), abs=0.005)
    assert [of_all[1], of_all[3], of_all[5]] == ["40", "20", "30"]
    assert "Always answering 7 is right in 20.0%" in section.text


@pytest.mark.parametrize("name", FIXED_NORMS)
def test_the_fixed_norms_are_those_of_train_py(name: str) -> None:
    written = OmegaConf.load(REPO / "conf" / "norm" / f"{name}.yaml")
    assert FIXED_NORMS[name] == (written.mean, written.std)


def test_the_statistics_of_each_split_and_of_each_norm_are_exact(
    splits: list[Split], tmp_path: Path
) -> None:
    exact, norms = describe_pixels(splits, tmp_path).tables
    both = torch.cat([split.images for split in splits[:2]])
    measured = [*(split.images for split in splits), both]
    for images, (_, *cells) in zip(measured, exact.rows, strict=True):
        pixels = images.numpy().astype(np.float64) / 255
        assert [*map(float, cells)] == pytest.approx([pixels.mean(), pixels.std()], rel=1e-13)
    for _, *cells in norms.rows:
        shift, scale, *expected = map(float, cells)
        done = normalize(splits[0].images, shift, scale).double()
        found = (done.mean(), done.std(correction=0), done.min(), done.max())
        assert [value.item() for value in found] == pytest.approx(expected, abs=1e-5)


def test_mean_and_deviation_images_are_numpys() -> None:
    data = load_sample("test")
    some = data.labels != 3
    means, stds = class_mean_std_images(data.images[some], data.labels[some], 10)
    assert means[3].isnan().all()
    for digit in {*range(10)} - {3}:
        of_digit = data.images[data.labels == digit, 0].numpy() / 255
        np.testing.assert_allclose(means[digit], of_digit.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(stds[digit], of_digit.std(axis=0), atol=1e-6)


def test_near_empty_and_blank_images_are_counted(splits: list[Split]) -> None:
    for place, pixels in ((7, 0), (11, 19), (3, 20)):
        splits[0].images[place] = 0
        splits[0].images[place].view(-1)[:pixels] = 200
    splits[2].images[5] = 1  # near-empty, and not blank
    (counts,) = describe_near_empty(splits).tables
    assert counts.rows[::2] == [("training", "2", "1", "0"), ("test", "1", "0", "0")]


def test_pairs_are_counted_within_and_across_splits(splits: list[Split]) -> None:
    training, validation, test = splits
    unchanged = describe_duplicates(splits)
    assert "90 images, 0 are equal" in unchanged.text
    training.images[10] = training.images[0]  # both a 0
    training.images[21] = training.images[0]  # a 1
    test.images[3] = training.images[7]
    test.images[8] = validation.images[8]
    section = describe_duplicates(splits)
    (table,) = section.tables
    assert {row[0]: tuple(row[1:]) for row in table.rows} == {
        "within training": ("3", "2"),
        "training and validation": ("0", "0"),
        "training and test": ("1", "1"),
        "within validation": ("0", "0"),
        "validation and test": ("1", "0"),
        "within test": ("0", "0"),
    }
    assert section.text.startswith("Of all 90 images, 7 ")


# The verb


class Shown(NamedTuple):
    """What `digits explore --source sample --tensorboard` wrote and printed."""

    out: Path
    screen: str
    page: str


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    out = tmp_path_factory.mktemp("here") / "new" / "explore"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "120")
        with contextlib.redirect_stdout(io.StringIO()) as screen:
            assert main(["explore", "--source", "sample", "--out", str(out), "--tensorboard"]) == 0
    return Shown(out, screen.getvalue(), (out / "index.html").read_text())


def cells(text: str) -> set[str]:
    """Return the cells of all tables on the screen."""
    lines = [line for line in text.splitlines() if line.startswith(("│", "┃"))]
    return {cell.strip() for line in lines for cell in re.split("[│┃]", line)[1:-1]}


def test_every_file_is_written_and_named(shown: Shown) -> None:
    written = {path.name for path in shown.out.iterdir()}
    events = {name for name in written if name.startswith("events.out.tfevents")}
    assert len(events) == 1
    assert written - events == {"index.html", *(f"{name}.png" for name in PICTURES)}
    for name in written - events:
        assert str(shown.out / name) in shown.screen
    assert (shown.out / "index.html").as_uri() in shown.screen
    assert shown.page.count("<img ") == len(PICTURES)


def test_screen_and_page_show_the_same_tables_and_that_this_is_the_sample(shown: Shown) -> None:
    on_page = set(re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", shown.page))
    assert cells(shown.screen) == on_page
    assert {"(3500, 1, 28, 28)", "(500, 1, 28, 28)", "(1000, 1, 28, 28)", "(3500,)"} <= on_page
    assert {"uint8", "int64", "0", "255", "9", "350", "50", "100", "10.00%"} <= on_page
    for text in (shown.screen, shown.page):
        assert "This is the embedded sample of 5,000 images, not MNIST" in text


def test_tensorboard_shows_pictures_tables_and_histograms(shown: Shown) -> None:
    events = EventAccumulator(str(shown.out), size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    assert set(events.Tags()["images"]) == set(PICTURES)
    encoded = events.Images("samples")[0]
    with Image.open(shown.out / "samples.png") as image:
        assert (encoded.width, encoded.height) == image.size
    texts = [events.Tensors(tag)[0].tensor_proto.string_val[0] for tag in events.Tags()["tensors"]]
    assert any(b"| (3500, 1, 28, 28) |" in text for text in texts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--val-size", "4000"], r"--val-size must be .*; try --val-size=3999"),
        (["--split-seed", "-1"], r"the seed of the split .* got -1; try 0"),
        (["--out", "file/x"], r"cannot write to .*; try --out FOLDER"),
    ],
)
def test_errors_name_the_options_of_the_verb(
    options: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(["explore", "--source", "sample", "--out", "out", *options]) == 1
    assert re.match(f"error: {message}", capsys.readouterr().err)


def test_the_statistics_of_mnist_are_the_known_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not os.environ.get("DIGITS_DATA"):
        pytest.skip("the environment variable DIGITS_DATA names no folder with the MNIST files")
    assert main(["explore", "--source", "local", "--out", str(tmp_path)]) == 0
    screen = capsys.readouterr().out
    assert {"(55000, 1, 28, 28)", "6,180", "1,135"} <= cells(screen)
    assert {"0.13066047627384286", "0.3081078038564627"} <= cells(screen)
    assert "not MNIST" not in screen


def test_without_validation_all_images_are_to_train_on(tmp_path: Path) -> None:
    dataset, splits = read_splits(tmp_path, "sample", 0, 0)
    assert [(split.name, len(split.labels)) for split in splits] == [
        *(("training", 4000), ("test", 1000))
    ]
    assert "4,000 images to train on, none to validate and 1,000 to test" in lead(dataset, splits)
    titles = [section.title for section in explore(splits, tmp_path)]
    assert titles == list(dict.fromkeys(titles)) and len(titles) == 6
