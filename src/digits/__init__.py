"""Experiments with handwritten digits, on PyTorch Lightning, Hydra and TensorBoard."""

from pathlib import Path
from typing import TYPE_CHECKING

from digits.errors import DigitsError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from digits.app import TrainedRun
    from digits.model_file import TrainedClassifier

__version__ = "0.1.0"
__all__ = ["DigitsError", "compose", "load", "runs", "train"]

# Each function imports what takes a second when it is called.


def compose(*overrides: str) -> "DictConfig":
    """Return the configuration that `train` would train with, checked and resolved."""
    from digits import app

    return app.compose(*overrides)


def load(path: "str | Path") -> "TrainedClassifier":
    """Load a trained model from a run directory or its model.pt; see `digits.model_file.load`."""
    from digits import model_file

    return model_file.load(path)


def runs(folder: "str | Path" = "outputs") -> "list[TrainedRun]":
    """Return the runs below a folder, each with `dir`, `metrics`, `history` and `model`."""
    from digits import app

    return app.find(folder)


def train(
    *overrides: str, name: str | None = None, dir: "str | Path | None" = None
) -> "TrainedRun":
    """Train as `python train.py OVERRIDES` does, and return the run; see `digits.app.train`."""
    from digits import app

    return app.train(*overrides, name=name, dir=dir)
