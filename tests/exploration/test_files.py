import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from digits.data.files import DataFile, Part, PartFiles
from digits.exploration.files import describe_files, describe_sample


def packed(folder: Path, name: str, values: np.ndarray) -> DataFile:
    """Writes an IDX file, gzipped, and says what it is."""
    dimensions = b"".join(size.to_bytes(4, "big") for size in values.shape)
    unpacked = b"\0\0\x08" + bytes([values.ndim]) + dimensions + values.tobytes()
    content = gzip.compress(unpacked)
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.gz").write_bytes(content)
    return DataFile(
        name,
        values.shape,
        sha256=hashlib.sha256(unpacked).hexdigest(),
        gz_sha256=hashlib.sha256(content).hexdigest(),
        gz_bytes=len(content),
    )


@pytest.fixture
def files(tmp_path: Path) -> dict[Part, PartFiles]:
    """One part of two images, in the folder `here`."""
    images = packed(tmp_path / "here", "images", np.ones((2, 28, 28), np.uint8))
    labels = packed(tmp_path / "here", "labels", np.ones(2, np.uint8))
    return {"test": PartFiles(images, labels)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIGITS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_good_files_are_listed_with_size_number_and_shape(
    files: dict[Part, PartFiles], tmp_path: Path
) -> None:
    table = describe_files(tmp_path / "here", files)
    paths = [tmp_path / "here" / f"{name}.gz" for name in ("images", "labels")]
    sizes = [str(path.stat().st_size) for path in paths]
    assert [tuple(row) for row in table.rows] == [
        ("images.gz", sizes[0], "good", "2", "(2, 28, 28)"),
        ("labels.gz", sizes[1], "good", "2", "(2,)"),
    ]
    assert table.title.endswith(f"in {tmp_path / 'here'}")


def test_damaged_and_missing_files_are_listed_as_such(
    files: dict[Part, PartFiles], tmp_path: Path
) -> None:
    (tmp_path / "here" / "images.gz").write_bytes(b"else")
    (tmp_path / "here" / "labels.gz").unlink()
    table = describe_files(tmp_path / "here", files)
    assert [(row[0], row[2]) for row in table.rows] == [
        ("images", "damaged"),
        ("labels", "not found"),
    ]


def test_files_in_two_folders_are_named_in_full(
    files: dict[Part, PartFiles], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    raw = tmp_path / "here" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (tmp_path / "here" / "labels.gz").rename(raw / "labels.gz")
    table = describe_files(Path("~/here"), files)
    assert [row[0] for row in table.rows] == ["~/here/images.gz", "~/here/MNIST/raw/labels.gz"]


def test_what_is_kept_unpacked_is_said_to_be_in_the_cache(
    files: dict[Part, PartFiles], tmp_path: Path, cache: Path
) -> None:
    raw = cache / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("images", "labels"):
        packed_bytes = (tmp_path / "here" / f"{name}.gz").read_bytes()
        (raw / name).write_bytes(gzip.decompress(packed_bytes))
    table = describe_files(tmp_path / "here", files)
    assert table.title.endswith(f"kept in {raw}")
    assert str(tmp_path / "here") in table.title


def test_the_sample_is_counted() -> None:
    assert tuple(describe_sample().rows[0][2:]) == ("good", "5,000", "(5000, 28, 28)")
