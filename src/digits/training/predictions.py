"""What a run answered on each test image, kept small for comparing runs image by image."""

from pathlib import Path

import numpy as np
from torch import Tensor

from digits.files import whole_file

FILE = "predictions.npz"


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
