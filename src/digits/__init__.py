"""Experiments with handwritten digits, on PyTorch Lightning, Hydra and TensorBoard."""

from pathlib import Path
from typing import TYPE_CHECKING

from digits.errors import DigitsError

if TYPE_CHECKING:
    from digits.model_file import TrainedClassifier

__version__ = "0.1.0"
__all__ = ["DigitsError", "load"]


def load(path: "str | Path") -> "TrainedClassifier":
    """Load a trained model from a run directory or its model.pt; see `digits.model_file.load`."""
    from digits import model_file  # imports torch, which takes a second

    return model_file.load(path)
