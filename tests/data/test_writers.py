"""Validation by writers: who wrote an image, and a split that keeps each writer on one side."""

import gzip
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets
from mirror_server import Mirrors
from small_mnist import SmallMnist

from digits.__main__ import main
from digits.data import datasets
from digits.data.datamodule import MNISTDataModule
from digits.data.datasets import MNIST, WRITERS, prepare, read_writers
from digits.data.published import DataFile, Dataset
from digits.data.split import split_hash, writers_split
from digits.errors import DigitsError

NAME = "qmnist-train-labels-idx2-int"
# Eight columns, as QMNIST's: class, series, writer, five others. Of 40 images, two a writer.
TABLE = np.zeros((40, 8), ">i4")
TABLE[:, 0] = np.arange(40) % 10
TABLE[:, 2] = 2000 + np.arange(40) // 2
TABLE[:, 1] = np.where(TABLE[:, 2] < 2010, 0, 4)


@pytest.fixture
def packed(small: SmallMnist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Write the small data set, and make known a small file of its writers, which is returned."""
    small.write(tmp_path, gzipped=False)
    return publish(TABLE, monkeypatch)


def publish(table: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> bytes:
    content = bytes([0, 0, 0x0C, 2]) + np.array(table.shape, ">u4").tobytes() + table.tobytes()
    packed = gzip.compress(content, mtime=0)
    file = DataFile(NAME, *(hashlib.sha256(each).hexdigest() for each in (content, packed)))
    made = Dataset("QMNIST", {"train": (file,)}, beside=("MNIST/raw", ""))
    monkeypatch.setitem(datasets.WRITERS, MNIST, made)
    return packed


def by_writers(folder: Path, source: str = "local", **options: Any) -> MNISTDataModule:
    data = MNISTDataModule(folder, source, split="writers", **options)
    data.setup("fit")
    return data


@pytest.mark.parametrize("layout", [".", "QMNIST/raw", "MNIST/raw"])
def test_whole_writers_of_both_series_are_held_out(
    layout: str, packed: bytes, tmp_path: Path
) -> None:
    (tmp_path / layout).mkdir(parents=True, exist_ok=True)
    (tmp_path / layout / f"{NAME}.gz").write_bytes(packed)
    data = by_writers(tmp_path, val_size=8)
    held_out = data.val_indices.tolist()
    writers = TABLE[held_out, 2].tolist()
    assert len(held_out) == 8 and all(writers.count(each) == 2 for each in writers)
    assert (TABLE[held_out, 1] == 0).sum() == 4
    assert sorted(held_out + data.train_indices.tolist()) == list(range(40))
    assert split_hash(data.val_indices) == data.split_sha256 == data.state_dict()["val_sha256"]
    others = [by_writers(tmp_path, val_size=8, split_seed=seed).split_sha256 for seed in (0, 1)]
    assert data.split_sha256 == others[0] != others[1]
    part = by_writers(tmp_path, val_size=8, train_size=10)
    assert len(part.train_indices) == 10 and part.val_indices.equal(data.val_indices)


def test_the_file_is_fetched_only_where_it_is_asked_for(
    packed: bytes, small: SmallMnist, mirrors: Mirrors, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    small.packed[f"{NAME}.gz"] = packed
    try:
        mirrors("good")
        monkeypatch.setattr(
            torchvision.datasets.QMNIST,
            "mirrors",
            torchvision.datasets.MNIST.mirrors,
            raising=False,
        )
        folder = ["--data-dir", str(tmp_path)]
        assert main(["data", *folder]) == 0
        assert mirrors.requests == {} and NAME not in capsys.readouterr().out
        assert main(["data", *folder, "--split", "writers", "--source", "local"]) == 1
        ended = capsys.readouterr()
        assert f"lacks {NAME} of QMNIST (.gz or unpacked); try --data-dir=FOLDER" in ended.err
        assert main(["data", *folder, "--split", "writers"]) == 0
        assert mirrors.requests == {"good": 1}
    finally:
        del small.packed[f"{NAME}.gz"]
    assert (tmp_path / "QMNIST" / "raw" / NAME).exists()
    assert NAME in capsys.readouterr().out


def test_writers_that_nobody_knows_are_refused_in_one_line(packed: bytes, tmp_path: Path) -> None:
    with pytest.raises(DigitsError, match=r"not known for mnist-sample-5k; try data\.split=random"):
        by_writers(tmp_path, "sample")
    with pytest.raises(DigitsError, match=rf"lacks {NAME} .*try data\.dir=.*, or data\.split"):
        by_writers(tmp_path)
    with pytest.raises(DigitsError, match=r"not known for kmnist; try data\.split=random"):
        prepare(tmp_path, "download", "kmnist", split="writers")  # before anything is fetched
    (tmp_path / f"{NAME}.gz").write_bytes(packed)
    with pytest.raises(DigitsError, match="val_size=1 cannot be met within 1 % by whole writers"):
        by_writers(tmp_path, val_size=1)


def test_a_file_about_other_images_is_refused(
    packed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = TABLE.copy()
    other[3, 0] = 9
    (tmp_path / f"{NAME}.gz").write_bytes(publish(other, monkeypatch))
    with pytest.raises(DigitsError, match="other labels than mnist"):
        by_writers(tmp_path, val_size=8)


def test_explore_counts_writers_and_those_on_both_sides(
    packed: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["explore", "--data-dir", str(tmp_path), "--val-size", "8", "--out", str(tmp_path / "x")]
    assert main([*line, "--source", "local"]) == 0
    assert "in both" not in capsys.readouterr().out
    (tmp_path / f"{NAME}.gz").write_bytes(packed)
    assert main([*line, "--source", "local", "--split", "writers"]) == 0
    out = capsys.readouterr().out
    rows = [
        [cell.strip() for cell in row.split("│")[1:3]] for row in out.splitlines() if "│" in row
    ]
    assert ["training", "16"] in rows and ["validation", "4"] in rows and ["in both", "0"] in rows
    line[line.index("8")] = "0"
    assert main([*line, "--source", "local"]) == 0
    out = capsys.readouterr().out
    assert "writers" in out and "in both" not in out


def test_the_writers_of_mnist_are_those_that_torchvision_checks(real_data: Path) -> None:
    labels = datasets.read(real_data, "train", MNIST).labels
    try:
        prepare(real_data, "local", split="writers")
    except DigitsError as error:
        pytest.skip(str(error))
    writers, series = read_writers(real_data, MNIST, labels)
    assert len(set(writers.tolist())) == 539 and set(series.tolist()) == {0, 4}
    for packed in real_data.rglob(f"{NAME}.gz"):
        md5 = hashlib.md5(packed.read_bytes(), usedforsecurity=False).hexdigest()
        assert md5 == dict(
            (Path(url).name, md5) for url, md5 in torchvision.datasets.QMNIST.resources["train"]
        )[packed.name]  # fmt: skip
    assert WRITERS[MNIST].mirrors[0] in torchvision.datasets.QMNIST.resources["train"][1][0]
    training, validation = writers_split(writers, series, 5000, seed=0)
    assert not set(writers[training].tolist()) & set(writers[validation].tolist())
    assert split_hash(validation).startswith("497ef5ebec0f137e")  # has not changed since published
    assert abs(len(validation) - 5000) <= 50
    share = [(series[each] == 0).mean() for each in (validation, slice(None))]
    assert share[0] == pytest.approx(share[1], abs=0.005)


def test_folds_by_writers_hold_each_writer_once_and_both_series(
    packed: bytes, tmp_path: Path
) -> None:
    (tmp_path / f"{NAME}.gz").write_bytes(packed)
    held_out = [by_writers(tmp_path, folds=5, fold=fold).val_indices for fold in range(5)]
    assert sorted(index for each in held_out for index in each.tolist()) == list(range(40))
    sets = [set(TABLE[each, 2].tolist()) for each in held_out]
    assert sum(map(len, sets)) == 20 == len(set.union(*sets))
    assert all(len(each) == 8 and (TABLE[each, 1] == 0).sum() == 4 for each in held_out)
