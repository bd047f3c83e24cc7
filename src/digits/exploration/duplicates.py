"""Images that are there twice."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from digits.exploration.splits import Split
from digits.figures import digit_grid, save_figure
from digits.page import Picture, Section, Table

MAX_SHOWN = 36
"""Images on duplicates.png."""


def equal_images(images: Tensor) -> list[list[int]]:
    """Finds groups of images that are equal in every pixel.

    Args:
        images: uint8 (n, 1, 28, 28).

    Returns:
        The places of each group's images, ascending; groups by their first image.
    """
    rows = images.flatten(1).contiguous().numpy()
    words = rows.view(np.int64)  # 784 bytes are 98 words
    # Equal images have equal sums; others hardly ever, and then they are told apart below.
    factors = np.random.RandomState(0).randint(-(2**62), 2**62, words.shape[1], dtype=np.int64)
    _, inverse, counts = np.unique(words @ factors, return_inverse=True, return_counts=True)
    groups: dict[bytes, list[int]] = {}
    for place in np.flatnonzero(counts[inverse] > 1).tolist():
        groups.setdefault(rows[place].tobytes(), []).append(place)
    return [group for group in groups.values() if len(group) > 1]


def describe_duplicates(splits: Sequence[Split], folder: Path) -> Section:
    """Counts pairs of equal images, and draws duplicates.png if training images are among them."""
    images = torch.cat([split.images for split in splits])
    labels = torch.cat([split.labels for split in splits])
    sizes = torch.tensor([len(split.labels) for split in splits])
    split_of = torch.arange(len(splits)).repeat_interleave(sizes).tolist()
    groups = equal_images(images)
    rows = []
    for first, second in itertools.combinations_with_replacement(range(len(splits)), 2):
        pairs = [
            (a, b)
            for group in groups
            for a, b in itertools.combinations(group, 2)
            if (split_of[a], split_of[b]) == (first, second)
        ]
        names = f"{splits[first].name} and {splits[second].name}"
        where = f"within {splits[first].name}" if first == second else names
        differing = sum(bool(labels[a] != labels[b]) for a, b in pairs)
        rows.append((where, f"{len(pairs):,}", f"{differing:,}"))
    columns = ("where", "pairs of equal images", "labelled differently")
    # The training images come first, so a place among all images is one among them, too.
    shown = [place for group in groups for place in group if place < sizes[0]][:MAX_SHOWN]
    return Section(
        "Duplicates",
        _in_words(len(images), groups),
        tables=[Table(columns, rows, "images that are equal in every pixel")],
        pictures=[_draw(splits[0], shown, folder / "duplicates.png")] if shown else [],
    )


def _in_words(num_images: int, groups: Sequence[Sequence[int]]) -> str:
    if not groups:
        return f"Of all {num_images:,} images, no two are equal in every pixel."
    return (
        f"Of all {num_images:,} images, {sum(map(len, groups)):,} are not the only one of their "
        f"kind; they make {len(groups):,} groups of equal images."
    )


def _draw(training: Split, places: Sequence[int], path: Path) -> Picture:
    titles = [f"no. {training.indices[place]}\na {training.labels[place]}" for place in places]
    save_figure(digit_grid(training.images[list(places)], titles, columns=6), path)
    return Picture(path, "Training images that are there twice: index in the training part, label.")
