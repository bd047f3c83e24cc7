"""Files from elsewhere that would do harm: refused in one line, and nothing in them has run."""

import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import SMALL, train

import digits
from digits.__main__ import main
from digits.artifact import save_model
from digits.data.datamodule import MNISTDataModule
from digits.errors import DigitsError
from digits.models import BaselineClassifier
from digits.recorded import FORMAT
from digits.runs import read_predictions


class Bomb:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def as_pickle(path: Path, bomb: Bomb) -> None:
    path.write_bytes(pickle.dumps({"format": FORMAT, "weights": bomb}))


def as_torch_file(path: Path, bomb: Bomb) -> None:
    torch.save({"format": FORMAT, "weights": {"a": torch.zeros(1)}, "model": bomb}, path)


def as_old_torch_file(path: Path, bomb: Bomb) -> None:
    torch.save({"format": FORMAT, "model": bomb}, path, _use_new_zipfile_serialization=False)


def as_checkpoint(path: Path, bomb: Bomb) -> None:
    content = {"pytorch-lightning_version": "2.6.0", "epoch": 0, "global_step": 1, "loops": bomb}
    torch.save(content, path)


WRITERS = [as_pickle, as_torch_file, as_old_torch_file, as_checkpoint]
Writer = Callable[[Path, Bomb], None]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("file", ["model.pt", "checkpoints/last.ckpt"])
@pytest.mark.parametrize(
    "command", ["evaluate {}", "predict {} {picture}", "export {} --to torch-export"]
)
def test_no_command_runs_the_code_in_a_file(
    command: str, file: str, write: Writer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "picture.png"
    Image.new("L", (40, 40), 255).save(picture)
    path = tmp_path / "run" / file
    path.parent.mkdir(parents=True)
    write(path, Bomb(tmp_path / "exploded"))
    assert main(command.format(path, picture=picture).split()) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {path} is no model.pt or checkpoint, is damaged, or ")
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("write", WRITERS)
def test_no_training_goes_on_from_code(write: Writer, tmp_path: Path) -> None:
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True)
    write(path, Bomb(tmp_path / "exploded"))
    before = path.read_bytes()
    with pytest.raises(DigitsError, match="could run code"):
        train(tmp_path / "run", *SMALL, "resume=must")
    assert not (tmp_path / "exploded").exists()
    assert path.read_bytes() == before


@pytest.mark.parametrize("write", WRITERS)
def test_the_bombs_are_some(write: Writer, tmp_path: Path) -> None:
    write(tmp_path / "a", Bomb(tmp_path / "exploded"))
    if write is as_pickle:
        pickle.loads((tmp_path / "a").read_bytes())
    else:
        torch.load(tmp_path / "a", weights_only=False)
    assert (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "name",
    [
        *("os.system", "builtins.eval", "subprocess.Popen", "torch.load", "torch.hub.load"),
        *("this.s", "antigravity.geohash", "idlelib.idle.x", "digits.models.os.system"),
        *("torch.utils.collect_env.main", "digits.search.search.search", "hydra.utils.call"),
        *("", "x", "..x", "digits.models", "digits.models.classifier.Tensor", 3, None, ["os"]),
    ],
)
def test_a_network_is_a_classifier_or_nothing_is_imported(name: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    save_model(path, BaselineClassifier([4]), MNISTDataModule(mean=0.5, std=0.5))
    hostile = {"command": f"touch {tmp_path / 'ran'}", "args": ["touch", str(tmp_path / "ran")]}
    torch.save(torch.load(path) | {"model": name, "arguments": hostile}, path)
    before = set(sys.modules)
    with pytest.raises(DigitsError) as caught:
        digits.load(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
    assert not {each for each in set(sys.modules) - before if not each.startswith("_")}
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"arguments": 3},
        {"arguments": {3: 4}},
        {"arguments": {"hidden": [0.5]}},
        {"arguments": {"hidden": [-1]}},
        {"arguments": {"hidden": [10**18]}},
        {"arguments": {"hidden": "abc"}},
        {"weights": [1]},
        {"weights": {"a": "b"}},
        {"weights": {"1.weight": 3}},
        {"normalization": 3},
        {"normalization": {"mean": "a", "std": 0.5}},
        {"normalization": {"mean": 0.5, "std": 0.0}},
        {"normalization": {"mean": float("nan"), "std": 1.0}},
        {"classes": 3},
        {"classes": [1, 2]},
        {"classes": ["0"]},
        {"dataset": 3},
        {"split": 3},
        {"split": {}},
        {"split": {"val_size": "a", "train_size": None, "split_seed": 0, "val_sha256": None}},
        {"precision": "64-false"},
    ],
)
def test_what_is_no_model_is_told_in_one_line(changes: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    save_model(path, BaselineClassifier([4]), MNISTDataModule(mean=0.5, std=0.5))
    torch.save(torch.load(path) | changes, path)
    with pytest.raises(DigitsError) as caught:
        digits.load(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_predictions_are_numbers_and_no_pickles(tmp_path: Path) -> None:
    for name in ("labels", "predicted", "confidence"):
        arrays: dict[str, Any] = {
            "labels": np.zeros(3, np.uint8),
            "predicted": np.zeros(3, np.uint8),
            "confidence": np.zeros(3, np.float16),
        }
        arrays[name] = np.array([Bomb(tmp_path / "exploded")] * 3, dtype=object)
        np.savez(tmp_path / "predictions.npz", **arrays)
        with pytest.raises(DigitsError, match=r"predictions\.npz is damaged"):
            read_predictions(tmp_path)
    assert not (tmp_path / "exploded").exists()
