import gzip
import hashlib
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mirror_server import Mirrors
from small_mnist import SmallMnist
from torch import Tensor

from digits.data import local
from digits.data.download import Limits
from digits.data.files import Part
from digits.data.images import LabelledImages
from digits.data.mnist import MNIST, SAMPLE, prepare, read
from digits.errors import DigitsError

RAW = Path("MNIST", "raw")
NO_MIRROR = ()


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
        data = read(folder, part, MNIST, files=small.files)
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
    assert prepare(tmp_path, source, NO_MIRROR, files=small.files) == MNIST
    assert_is_small(tmp_path, small)
    assert state(tmp_path) == before


def test_a_folder_without_write_permission_is_read(small: SmallMnist, tmp_path: Path) -> None:
    small.write(tmp_path, gzipped=True)
    tmp_path.chmod(0o555)
    try:
        assert prepare(tmp_path, "local", files=small.files) == MNIST
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

    monkeypatch.setattr(local, "unpack", None)
    assert_is_small(tmp_path, small)


def test_the_cache_alone_is_not_taken_for_data(small: SmallMnist, tmp_path: Path) -> None:
    small.write(tmp_path / "once", gzipped=True)
    assert_is_small(tmp_path / "once", small)
    with pytest.raises(DigitsError, match=str(tmp_path / "none")):
        prepare(tmp_path / "none", "local", files=small.files)


def test_a_damaged_cache_is_mended_from_the_gz(
    small: SmallMnist, tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small.write(tmp_path, gzipped=True)
    assert_is_small(tmp_path, small)
    kept = cache / RAW / small.train_images.name
    flip_a_bit(kept)
    assert_is_small(tmp_path, small)
    assert str(kept) in caplog.text
    assert kept.read_bytes() == small.unpacked[kept.name]


def test_a_cache_that_cannot_be_written_to_is_done_without(
    small: SmallMnist, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "file").write_text("no folder")
    monkeypatch.setenv("DIGITS_CACHE", str(cache / "file" / "below"))
    small.write(tmp_path, gzipped=True)
    assert_is_small(tmp_path, small)


def test_the_cache_is_where_pooch_would_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import pooch  # type: ignore[import-untyped]

    monkeypatch.delenv("DIGITS_CACHE")
    assert local.cache_folder() == Path(pooch.os_cache("digits"))
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert local.cache_folder() == Path(pooch.os_cache("digits"))


def test_a_gz_that_was_packed_again_is_good(small: SmallMnist, tmp_path: Path) -> None:
    small.write(tmp_path, gzipped=True)
    for name, content in small.unpacked.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content, 1, mtime=7))
    assert prepare(tmp_path, "local", files=small.files) == MNIST
    assert_is_small(tmp_path, small)


def test_a_damaged_raw_file_gives_way_to_its_gz_with_one_warning(
    small: SmallMnist, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small.write(tmp_path, gzipped=True)
    small.write(tmp_path, gzipped=False)
    damaged = tmp_path / small.train_images.name
    flip_a_bit(damaged)
    before = state(tmp_path)
    assert prepare(tmp_path, "local", files=small.files) == MNIST
    for _ in range(2):  # unpacked, then from the cache
        assert_is_small(tmp_path, small)
    warnings = [record.message for record in caplog.records if str(damaged) in record.message]
    assert len(warnings) == 1
    assert state(tmp_path) == before


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "flipped bit":
        flip_a_bit(path)
    elif how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "wrong magic":
        path.write_bytes(b"\1\2\3\4" + content[4:])
    elif how == "too long":
        path.write_bytes(
            content + bytes(9) if path.suffix != ".gz" else gzip.compress(bytes(99999))
        )


HOWS = ["flipped bit", "cut", "empty", "wrong magic", "too long"]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("gzipped", [True, False])
def test_a_damaged_file_is_an_error_that_names_it(
    how: str, gzipped: bool, layout: Path, small: SmallMnist, tmp_path: Path
) -> None:
    small.write(tmp_path / layout, gzipped=gzipped)
    name = small.train_images.gz_name if gzipped else small.train_images.name
    damage(tmp_path / layout / name, how)
    with pytest.raises(DigitsError, match=rf"{tmp_path / layout / name} is damaged.*data\.source"):
        prepare(tmp_path, "local", files=small.files)
    with pytest.raises(DigitsError, match=rf"{tmp_path / layout / name} is damaged.*delete"):
        read(tmp_path, "train", MNIST, files=small.files)


@pytest.mark.parametrize("source", ["auto", "download"])
def test_a_damaged_file_is_fetched_again(
    source: str, layout: Path, small: SmallMnist, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    small.write(tmp_path / layout, gzipped=True)
    damaged = tmp_path / layout / small.train_images.gz_name
    flip_a_bit(damaged)
    before = damaged.read_bytes()
    prepare(tmp_path, source, mirrors("good"), files=small.files, limits=limits)
    assert mirrors.requests == {"good": 1}
    assert_is_small(tmp_path, small)
    mended = tmp_path / RAW / damaged.name
    assert mended.read_bytes() == small.packed[damaged.name]
    assert mended == damaged or damaged.read_bytes() == before


def test_auto_does_not_fall_back_to_the_sample_from_a_damaged_file(
    small: SmallMnist, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    small.write(tmp_path, gzipped=False)
    damaged = tmp_path / small.train_images.name
    flip_a_bit(damaged)
    with pytest.raises(DigitsError, match=rf"{damaged} is damaged.*answers 403"):
        prepare(tmp_path, "auto", mirrors("403"), files=small.files, limits=limits)


@pytest.mark.parametrize("source", ["auto", "download"])
def test_missing_files_are_downloaded_once(
    source: str, small: SmallMnist, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    for _ in range(2):
        folder = tmp_path / "data"
        assert prepare(folder, source, mirrors("good"), files=small.files, limits=limits) == MNIST
        assert_is_small(folder, small)
    assert mirrors.requests == {"good": 4}
    assert {path.name for path in (folder / RAW).iterdir() if not path.name.startswith(".")} == {
        *small.packed,
        *small.unpacked,
    }


def test_a_mirror_that_was_too_slow_is_asked_once_for_four_files(
    small: SmallMnist, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    prepare(tmp_path, "download", mirrors("hang", "good"), files=small.files, limits=limits)
    assert mirrors.requests == {"hang": 1, "good": 4}


def test_the_first_file_that_no_mirror_has_is_the_last_one_asked_for(
    small: SmallMnist, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    with pytest.raises(DigitsError, match=r"t10k-labels-idx1-ubyte\.gz"):
        prepare(tmp_path, "download", mirrors("403", "html"), files=small.files, limits=limits)
    assert mirrors.requests == {"403": 1, "html": 1}


def test_auto_falls_back_to_the_sample_with_a_warning(
    small: SmallMnist,
    mirrors: Mirrors,
    limits: Limits,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    name = prepare(tmp_path, "auto", mirrors("403"), files=small.files, limits=limits)
    assert name == SAMPLE
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    for words in ("NOT FULL MNIST", "5,000 images", SAMPLE, str(tmp_path), "answers 403"):
        assert words in warning.message
    assert len(read(tmp_path, "train", name).labels) == 4_000


def test_local_names_the_folder_and_the_remedies(small: SmallMnist, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(DigitsError) as caught:
        prepare(missing, "local", files=small.files)
    for words in (
        str(missing),
        "train-images-idx3-ubyte",
        "data.dir=",
        "DIGITS_DATA",
        "data=sample",
    ):
        assert words in str(caught.value)
    assert not missing.exists()


def test_an_unknown_source_or_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(DigitsError, match="auto, local, download, sample, got 'internet'"):
        prepare(tmp_path, "internet")
    with pytest.raises(DigitsError, match="got 'cifar'"):
        read(tmp_path, "train", "cifar")


def test_prepare_verifies_a_file_once_as_long_as_it_does_not_change(
    small: SmallMnist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.write(tmp_path, gzipped=False)
    verified = []
    file_digest = hashlib.file_digest

    def counting(stream: Any, algorithm: str) -> Any:
        verified.append(stream.name)
        return file_digest(stream, algorithm)

    monkeypatch.setattr(hashlib, "file_digest", counting)
    for _ in range(3):
        prepare(tmp_path, "local", files=small.files)
    assert len(verified) == 4

    path = tmp_path / small.train_images.name
    flip_a_bit(path)
    os.utime(path, ns=(1, 1))
    with pytest.raises(DigitsError, match="damaged"):
        prepare(tmp_path, "local", files=small.files)


def test_reading_verifies_every_time(small: SmallMnist, tmp_path: Path) -> None:
    small.write(tmp_path, gzipped=False)
    prepare(tmp_path, "local", files=small.files)
    path = tmp_path / small.train_images.name
    before = path.stat()
    flip_a_bit(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DigitsError, match="damaged"):
        read(tmp_path, "train", MNIST, files=small.files)


def test_a_part_is_read_without_the_other(small: SmallMnist, tmp_path: Path) -> None:
    small.write(tmp_path, gzipped=False)
    for kind in ("images-idx3", "labels-idx1"):
        (tmp_path / f"t10k-{kind}-ubyte").unlink()
    assert len(read(tmp_path, "train", MNIST, files=small.files).labels) == 40


def test_images_that_are_read_may_be_written_to(small: SmallMnist, tmp_path: Path) -> None:
    small.write(tmp_path, gzipped=True)
    for _ in range(2):  # unpacked, then from the cache
        read(tmp_path, "train", MNIST, files=small.files).images.zero_()
    assert_is_small(tmp_path, small)


def test_a_label_of_255_is_refused(small_with_label_255: SmallMnist, tmp_path: Path) -> None:
    small_with_label_255.write(tmp_path, gzipped=False)
    with pytest.raises(DigitsError, match=r"labels must be in \[0, 9\], got 0 to 255"):
        read(tmp_path, "train", MNIST, files=small_with_label_255.files)


IMAGES = torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
LABELS = torch.tensor([0, 5, 9])


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES, LABELS[:2], "3 images but 2 labels"),
        (IMAGES[:0], LABELS[:0], "no images"),
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
