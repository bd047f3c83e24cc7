"""Which values the pixels have, before and after normalization."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from digits.data.statistics import pixel_mean_std
from digits.exploration.splits import Split
from digits.figures import draw_pixel_histogram, save_figure
from digits.page import Picture, Section, Table

FIXED_NORMS = {"unit": (0.0, 1.0), "half": (0.5, 0.5)}
"""What norm=unit and norm=half subtract from pixels in [0, 1], and divide by; as in conf/norm."""


def pixel_counts(images: Tensor) -> Tensor:
    """Counts the pixels of each value: int64 (256,)."""
    return torch.bincount(images.flatten(), minlength=256)


def normalized(images: Tensor) -> dict[str, tuple[float, ...]]:
    """Computes what each `norm` makes of images, without normalizing them: it is affine.

    Args:
        images: uint8 (n, 1, 28, 28), the training images.

    Returns:
        By the norm's name: what is subtracted from pixels in [0, 1], what they are then divided by,
        and mean, standard deviation, minimum and maximum of the result.
    """
    mean, std = pixel_mean_std(images)
    least, greatest = (int(value) / 255 for value in images.aminmax())
    return {
        name: (
            shift,
            scale,
            (mean - shift) / scale,
            std / scale,
            (least - shift) / scale,
            (greatest - shift) / scale,
        )
        # Blank images have a standard deviation of 0, which nothing can be divided by.
        for name, (shift, scale) in (FIXED_NORMS | {"exact": (mean, std)}).items()
        if scale
    }


def describe_pixels(splits: Sequence[Split], folder: Path) -> Section:
    """Measures the pixels of each split, and draws pixel_histogram.png into the folder."""
    counts = {split.name: pixel_counts(split.images) for split in splits}
    training, validation, _ = splits
    both = torch.cat([training.images, validation.images])
    images = {split.name: split.images for split in splits} | {"training and validation": both}
    exact = [(name, *map(repr, pixel_mean_std(each))) for name, each in images.items()]
    norms = [
        (name, *(f"{value:.6f}" for value in values))
        for name, values in normalized(training.images).items()
    ]
    save_figure(draw_pixel_histogram(counts), folder / "pixel_histogram.png")
    blank = counts["training"][0] / counts["training"].sum()
    return Section(
        "Pixels",
        f"{blank:.1%} of the training pixels are background, exactly 0. Means and standard "
        "deviations are those of pixels in [0, 1]; they come from integer sums, without any "
        "rounding but that of the last digit shown.\n\n"
        "norm=exact takes them from the training images alone: what is measured on validation or "
        "test images must not know them. It brings the training pixels to mean 0 and standard "
        "deviation 1.",
        tables=[
            Table(
                ("images", "mean", "standard deviation"),
                exact,
                "mean and standard deviation, exactly",
            ),
            Table(
                ("norm", "minus", "divided by", "mean", "std", "least", "greatest"),
                norms,
                "the training pixels as normalized",
            ),
        ],
        pictures=[
            Picture(
                folder / "pixel_histogram.png",
                "Share of each pixel value in the training, validation and test images.",
            )
        ],
    )
