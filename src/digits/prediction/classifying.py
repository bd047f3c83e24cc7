"""Pictures to classes, in batches."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from digits.errors import DigitsError
from digits.prediction.preparing import prepare

if TYPE_CHECKING:
    from digits.artifact import TrainedClassifier

BATCH_SIZE = 256


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one picture shows, or why that is not known.

    Attributes:
        file: the picture, as it was given.
        image: bytes (28, 28), what the network saw; `None` after an error.
        probabilities: of the digits 0 to 9; empty after an error.
        error: what is wrong, in one line; `None` if nothing is.
    """

    file: str
    image: NDArray[np.uint8] | None = None
    probabilities: tuple[float, ...] = ()
    error: str | None = None

    def ranked(self) -> list[int]:
        """Returns the digits, the most probable one first."""
        return sorted(range(len(self.probabilities)), key=lambda digit: -self.probabilities[digit])


def predict(
    model: "TrainedClassifier",
    files: Iterable[tuple[str, DigitsError | None]],
    batch_size: int = BATCH_SIZE,
) -> Iterator[Prediction]:
    """Classifies pictures, in order; one that cannot be classified does not stop the others.

    Args:
        model: what `digits.load` returns, with the classes "0" to "9".
        files: what `finding.find` yields; read as they are needed.
        batch_size: pictures that are in memory, and are classified, at a time.
    """
    remaining = iter(files)
    while batch := [_prepared(*each) for each in itertools.islice(remaining, batch_size)]:
        images = [each.image for each in batch if each.image is not None]
        rows = iter(_probabilities(model, images) if images else ())
        for each in batch:
            yield each if each.image is None else replace(each, probabilities=tuple(next(rows)))


def _prepared(file: str, error: DigitsError | None) -> Prediction:
    try:
        if error is not None:
            raise error
        return Prediction(file, image=prepare(Path(file)))
    except DigitsError as mistake:
        return Prediction(file, error=" ".join(str(mistake).split()))


def _probabilities(
    model: "TrainedClassifier", images: list[NDArray[np.uint8]]
) -> list[list[float]]:
    with torch.inference_mode():
        logits = model(torch.from_numpy(np.stack(images)).unsqueeze(1))
    probabilities: list[list[float]] = torch.softmax(logits.double(), dim=1).tolist()
    return probabilities
