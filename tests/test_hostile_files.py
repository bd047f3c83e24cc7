"""Files from elsewhere that would do harm: refused in one line, and nothing in them has run."""

import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import digits
from digits.data.datamodule import MNISTDataModule
from digits.errors import DigitsError
from digits.model_file import FORMAT, read_checkpoint, read_model, save_model
from digits.models import BaselineClassifier


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


def as_checkpoint(path: Path, bomb: Bomb) -> None:
    content = {"pytorch-lightning_version": "2.6.0", "epoch": 0, "global_step": 1, "loops": bomb}
    torch.save(content, path)


@pytest.mark.parametrize("write", [as_pickle, as_torch_file, as_checkpoint])
def test_loading_runs_no_code_in_a_file(
    write: Callable[[Path, Bomb], None], tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    write(path, Bomb(tmp_path / "exploded"))
    for load in (digits.load, read_model, read_checkpoint):
        with pytest.raises(DigitsError, match="could run code") as caught:
            load(path)
        assert str(caught.value).startswith(f"{path} is not a model.pt or checkpoint, is damaged, ")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "name",
    [
        *("os.system", "torch.hub.load", "this.s", "digits.models.os.system", "hydra.utils.call"),
        *("", "..x", "digits.models", 3, None, ["os"], "digits.models.networks.Sequential"),
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
