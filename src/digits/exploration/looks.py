"""What the digits look like: some of each, their mean, and where they differ."""

from pathlib import Path

import torch
from torch import Tensor

from digits.data.images import NUM_CLASSES
from digits.exploration.splits import Split
from digits.figures import digit_grid, save_figure
from digits.page import Picture, Section

NUM_SAMPLES = 10
"""Of each digit."""


def class_mean_std_images(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Computes each digit's mean image and standard-deviation image.

    Args:
        images: uint8 (n, 1, 28, 28).
        labels: int64 (n,).

    Returns:
        Two float tensors (10, 28, 28), of pixels in [0, 1]; NaN for a digit without images. The
        standard deviation is the population's, at most 0.5.
    """
    means = torch.full((NUM_CLASSES, *images.shape[2:]), torch.nan)
    stds = means.clone()
    for digit in set(labels.tolist()):
        of_digit = images[labels == digit, 0].float() / 255
        stds[digit], means[digit] = torch.std_mean(of_digit, dim=0, correction=0)
    return means, stds


def first_of_each_class(labels: Tensor, number: int) -> Tensor:
    """Finds the first images of each digit, zeros first.

    Args:
        labels: int64 (n,).
        number: images of each digit; all, where there are fewer.

    Returns:
        Places in `labels`, int64 (m,).
    """
    return torch.cat([(labels == digit).nonzero()[:number, 0] for digit in range(NUM_CLASSES)])


def show_looks(training: Split, folder: Path) -> Section:
    """Draws samples.png, mean_images.png and std_images.png into the folder."""
    chosen = first_of_each_class(training.labels, NUM_SAMPLES)
    means, stds = class_mean_std_images(training.images, training.labels)
    digits = [str(digit) for digit in range(NUM_CLASSES)]
    figures = {
        "samples": (
            digit_grid(training.images[chosen], columns=NUM_SAMPLES),
            f"The first {NUM_SAMPLES} training images of each digit.",
        ),
        "mean_images": (
            digit_grid(means, digits, columns=5, limits=(0, 1)),
            "The mean of all training images of each digit, from 0 to 1.",
        ),
        "std_images": (
            digit_grid(stds, digits, columns=5, limits=(0, 0.5)),
            "The standard deviation of the training images of each digit, from 0 to 0.5.",
        ),
    }
    for name, (figure, _) in figures.items():
        save_figure(figure, folder / f"{name}.png")
    return Section(
        "What the digits look like",
        "Mean and standard deviation are those of each pixel over all images of a digit. The "
        "standard deviation is bright where people write a digit differently: at the rim of the "
        "strokes, and in the slant of the 1. Pixels in [0, 1] cannot have one above 0.5.",
        pictures=[
            Picture(folder / f"{name}.png", caption) for name, (_, caption) in figures.items()
        ],
    )
