"""Data sets in MNIST's format: under other checksums, with names of classes."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.datasets
from mirror_server import Mirrors
from small_mnist import SmallMnist, idx_bytes

from digits.__main__ import main
from digits.data import datasets
from digits.data.datamodule import MNISTDataModule
from digits.data.datasets import classes_of, prepare, published, read
from digits.errors import DigitsError

NAMES = {"fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}


@pytest.fixture(params=NAMES)
def relative(
    request: pytest.FixtureRequest, small: SmallMnist, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Put the checksums of small files into torchvision's catalogue; return the name."""
    known = [(name, hashlib.md5(content).hexdigest()) for name, content in small.packed.items()]
    monkeypatch.setattr(getattr(torchvision.datasets, NAMES[request.param]), "resources", known)
    return str(request.param)


def test_names_files_and_classes_are_torchvisions() -> None:
    for name, catalogue in NAMES.items():
        known = getattr(torchvision.datasets, catalogue)
        assert [(f"{file.name}.gz", file.gz_hash) for file in published(name)] == known.resources
        assert classes_of("", name) == tuple(known.classes)
        assert all(mirror.startswith("https://") for mirror in published(name).mirrors)


def test_they_are_fetched_into_a_folder_of_their_own(
    relative: str,
    small: SmallMnist,
    mirrors: Mirrors,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = f"https://localhost:{mirrors.port}/good/"
    monkeypatch.setitem(datasets.RELATIVES, relative, (NAMES[relative], address))
    small.write(tmp_path, gzipped=True)  # flat files are MNIST's, whatever they hold
    assert prepare(tmp_path, "auto", relative) == relative
    assert mirrors.requests == {"good": 4}
    raw = tmp_path / NAMES[relative] / "raw"
    assert {path.name for path in raw.glob("t*")} == set(small.packed) | set(small.unpacked)
    images = read(tmp_path, "train", relative).images.numpy()
    assert images.tobytes() == small.unpacked[small.train_images.name][16:]


def test_an_unpacked_file_alone_is_not_verified_and_a_packed_one_decides(
    relative: str,
    small: SmallMnist,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    raw = tmp_path / NAMES[relative] / "raw"
    small.write(raw, gzipped=False)
    assert prepare(tmp_path, "local", relative) == relative
    assert f"{raw / small.train_images.name} is not verified" in caplog.text
    options = ["--dataset", relative, "--data-dir", str(tmp_path), "--source", "local"]
    assert main(["data", *options]) == 0
    assert capsys.readouterr().out.count("not verified") == 4
    assert len(read(tmp_path, "test", relative).labels) == 20

    (raw / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.full(20, 10, np.uint8)))
    with pytest.raises(DigitsError, match=f"not those of {relative}"):
        read(tmp_path, "test", relative)
    small.write(raw, gzipped=True)
    assert read(tmp_path, "test", relative).labels.max() == 9
    (raw / f"{small.train_images.name}.gz").write_bytes(b"\x1f\x8b")
    (raw / small.train_images.name).unlink()
    with pytest.raises(DigitsError, match="is damaged"):
        prepare(tmp_path, "local", relative)


def test_they_have_no_sample(relative: str, tmp_path: Path) -> None:
    with pytest.raises(DigitsError, match=r"try data\.source=auto"):
        prepare(tmp_path, "sample", relative)
    with pytest.raises(DigitsError, match=f"lacks .* where {NAMES[relative]}/raw/ is"):
        prepare(tmp_path, "local", relative)


def test_a_run_reports_names_of_classes(
    relative: str,
    small: SmallMnist,
    tmp_path: Path,
    command_line: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    small.write(tmp_path / NAMES[relative] / "raw", gzipped=True)
    options = ("data.val_size=10", "data.batch_size=10", f"data.dir={tmp_path}", "test=true")
    nowhere = command_line(f"data={relative}", "data.source=local", "data.dir=nowhere")
    assert nowhere.code == 1 and f"of {NAMES[relative]} (.gz" in nowhere.stderr
    ended = command_line(f"data={relative}", *options, "trainer.max_epochs=1", "name=first")
    assert ended.code == 0, ended.stderr
    run = Path("outputs/runs/first")
    assert json.loads((run / "metrics.json").read_text())["dataset"] == relative
    names = classes_of(tmp_path, relative)
    assert main(["evaluate", str(run)]) == 0
    out = capsys.readouterr().out
    assert "true class" in out and "to the last digit" in out
    assert all(name in out for name in names)
    result = json.loads((run / "evaluation/evaluation.json").read_text())
    assert [each["class"] for each in result["classes"]] == list(names)
    explored = ("--dataset", relative, "--data-dir", str(tmp_path), "--val-size", "8")
    assert main(["explore", *explored]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in names) and "images of each class" in out
    page = Path("outputs/explore/index.html").read_text()
    assert any(f"Always answering {name} is right" in page for name in names)


def test_the_data_module_says_its_classes(relative: str, small: SmallMnist, tmp_path: Path) -> None:
    small.write(tmp_path / NAMES[relative] / "raw", gzipped=True)
    data = MNISTDataModule(tmp_path, dataset=relative, val_size=10, batch_size=30)
    assert data.classes == classes_of(tmp_path, relative)
    images, labels = next(iter(data.train_dataloader()))
    assert images.shape == (30, 1, 28, 28) and labels.dtype == torch.int64
    assert data.state_dict()["classes"] == list(data.classes)
