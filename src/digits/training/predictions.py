"""What a run answered on each test image, kept small for comparing runs image by image."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from digits.atomic import whole_file
from digits.errors import DigitsError

FILE = "predictions.npz"


@dataclass(frozen=True, eq=False)
class Predictions:
    """The test images' classes, in their order.

    Attributes:
        labels: uint8 (n,), the true ones.
        predicted: uint8 (n,), the most probable ones.
        confidence: float16 (n,), their probabilities.
    """

    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray


def write_predictions(run_dir: Path, logits: Tensor, labels: Tensor) -> None:
    """Writes predictions.npz, about 20 kB for 10,000 images.

    Args:
        run_dir: the run directory.
        logits: float (n, 10).
        labels: int64 (n,).
    """
    confidence, predicted = logits.float().softmax(dim=1).max(dim=1)
    with whole_file(run_dir / FILE) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            labels=labels.numpy().astype(np.uint8),
            predicted=predicted.numpy().astype(np.uint8),
            confidence=confidence.numpy().astype(np.float16),
        )


def read_predictions(run_dir: Path) -> Predictions:
    """Reads predictions.npz.

    Raises:
        DigitsError: it is not there, or damaged.
    """
    path = run_dir / FILE
    try:
        # Opened here, since numpy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return Predictions(arrays["labels"], arrays["predicted"], arrays["confidence"])
    except FileNotFoundError:
        raise DigitsError(f"there is no {path}; it is written when a run is tested") from None
    except Exception:  # zipfile and numpy raise whatever the bytes make them stumble over
        raise DigitsError(f"{path} is damaged; delete the run, or leave it out") from None
