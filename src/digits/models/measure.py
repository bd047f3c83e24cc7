"""What the logits of a classifier say about it: accuracy, confusion, calibration, mistakes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from digits.statistics import wilson_interval

NUM_BINS = 15
"""Of confidence, for the calibration; as in Guo et al. 2017."""


@dataclass(frozen=True, eq=False)
class Mistake:
    """One image that was classified wrongly; the probability is that of the wrong class."""

    index: int
    label: int
    predicted: int
    probability: float

    def title(self, classes: Sequence[str]) -> str:
        """Return two lines that go over a picture of the image."""
        return f"{classes[self.label]} as {classes[self.predicted]}\n{self.probability:.0%}"


@dataclass(frozen=True, eq=False)
class Measures:
    """What was measured on n images; rates are fractions.

    Attributes:
        num_images: n.
        accuracy: share of images classified correctly.
        interval: its 95 % interval (Wilson).
        top2_accuracy: share of images whose label is among the two most probable classes.
        precision: of each class: of the images taken for it, the share that are of it; (classes,).
        recall: of each class: of its images, the share that are found; (classes,).
        f1: of each class: the harmonic mean of both; (classes,).
        confusion: int64 (classes, classes): images by label (row) and predicted class (column).
        calibration_error: expected calibration error (Guo et al. 2017, "On calibration of modern
            neural networks", equation 3): the mean distance of confidence and accuracy over
            `NUM_BINS` bins of confidence, weighted with their images.
        bins: float64 (NUM_BINS, 3): images, mean confidence and accuracy in each bin.
        mistakes: all of them, the most confident first.
    """

    num_images: int
    accuracy: float
    interval: tuple[float, float]
    top2_accuracy: float
    precision: list[float]
    recall: list[float]
    f1: list[float]
    confusion: Tensor
    calibration_error: float
    bins: Tensor
    mistakes: list[Mistake]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for a JSON file."""
        return {
            "num_images": self.num_images,
            "accuracy": self.accuracy,
            "accuracy_95_low": self.interval[0],
            "accuracy_95_high": self.interval[1],
            "top2_accuracy": self.top2_accuracy,
            "calibration_error": self.calibration_error,
            "classes": [
                {"digit": digit, "precision": precision, "recall": recall, "f1": f1}
                for digit, (precision, recall, f1) in enumerate(
                    zip(self.precision, self.recall, self.f1, strict=True)
                )
            ],
            "confusion_matrix": self.confusion.tolist(),
            "mistakes": [vars(mistake) for mistake in self.mistakes],
        }


def measure(logits: Tensor, labels: Tensor) -> Measures:
    """Measure a classifier by its logits, (n, classes), of images with `labels`, int64 (n,)."""
    num_classes = logits.shape[1]
    assert len(logits) == len(labels) > 0
    probabilities = logits.double().softmax(dim=1)
    confidences, predictions = probabilities.max(dim=1)
    wrong = predictions != labels
    num_correct = int((~wrong).sum())
    top2 = probabilities.topk(2).indices == labels[:, None]
    pairs = torch.bincount(labels * num_classes + predictions, minlength=num_classes**2)
    confusion = pairs.view(num_classes, num_classes)
    of_class, taken_for, found = confusion.sum(1), confusion.sum(0), confusion.diagonal().double()
    bins = _bins(confidences, ~wrong)
    order = torch.argsort(confidences[wrong], descending=True, stable=True)
    indices = wrong.nonzero().squeeze(1)[order].tolist()
    return Measures(
        num_images=len(labels),
        accuracy=num_correct / len(labels),
        interval=wilson_interval(num_correct, len(labels)),
        top2_accuracy=top2.any(dim=1).double().mean().item(),
        # A class without images, or that nothing was taken for, has 0.
        precision=(found / taken_for.clamp(min=1)).tolist(),
        recall=(found / of_class.clamp(min=1)).tolist(),
        f1=(2 * found / (of_class + taken_for).clamp(min=1)).tolist(),
        confusion=confusion,
        calibration_error=float(bins[:, 0] @ (bins[:, 1] - bins[:, 2]).abs()) / len(labels),
        bins=bins,
        mistakes=[
            Mistake(i, int(labels[i]), int(predictions[i]), float(confidences[i])) for i in indices
        ],
    )


def _bins(confidences: Tensor, correct: Tensor) -> Tensor:
    # Bins are open below and closed above, as in the paper.
    edges = torch.linspace(0, 1, NUM_BINS + 1, dtype=torch.float64)
    place = torch.bucketize(confidences, edges[1:-1])
    values = torch.stack([torch.ones_like(confidences), confidences, correct.double()], dim=1)
    sums = torch.zeros(NUM_BINS, 3, dtype=torch.float64).index_add_(0, place, values)
    counts = sums[:, :1]
    return torch.cat([counts, sums[:, 1:] / counts.clamp(min=1)], dim=1)
