"""All that there is to say and to show about the images."""

from collections.abc import Sequence
from pathlib import Path

from digits.data.mnist import SAMPLE
from digits.exploration.classes import describe_classes
from digits.exploration.duplicates import describe_duplicates
from digits.exploration.looks import show_looks
from digits.exploration.near_empty import describe_near_empty
from digits.exploration.pixels import describe_pixels
from digits.exploration.shapes import describe_shapes
from digits.exploration.splits import Split
from digits.page import Section


def explore(splits: Sequence[Split], folder: Path) -> list[Section]:
    """Measures and draws everything.

    Args:
        splits: training, validation and test images.
        folder: an existing folder, which the pictures are written to.
    """
    return [
        describe_shapes(splits),
        describe_classes(splits, folder),
        describe_pixels(splits, folder),
        show_looks(splits[0], folder),
        describe_near_empty(splits, folder),
        describe_duplicates(splits, folder),
    ]


def lead(dataset: str, splits: Sequence[Split]) -> str:
    """Says which images these are."""
    training, validation, test = (f"{len(split.labels):,}" for split in splits)
    warning = (
        "This is the embedded sample of 5,000 images, not MNIST: "
        "do not compare these figures with those of MNIST. "
    )
    return (
        f"Dataset: {dataset}. {warning if dataset == SAMPLE else ''}"
        f"{training} images to train on, {validation} to validate and {test} to test with, as a "
        "run has them. Test images are measured here, but pictures are of training images only."
    )
