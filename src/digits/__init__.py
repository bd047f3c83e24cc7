"""Experiments with handwritten digits, on PyTorch Lightning, Hydra and TensorBoard."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from digits.artifact import TrainedClassifier

__version__ = "0.1.0"
__all__ = ["load"]


def load(path: "str | Path") -> "TrainedClassifier":
    """Loads a trained model from a run directory or its model.pt; see `digits.artifact.load`."""
    from digits import artifact  # imports torch and Lightning, which take seconds

    return artifact.load(path)
