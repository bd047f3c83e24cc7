"""Images with hardly any ink on them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from digits.exploration.splits import Split
from digits.figures import digit_grid, save_figure
from digits.page import Picture, Section, Table

HALF = 127
"""A pixel above it is nearer to full ink than to the background."""
NEAR_EMPTY_PIXELS = 20
"""An image with fewer pixels above `HALF` is near-empty: a 1 of 2 by 10 pixels has as many."""
NUM_FAINTEST = 10


def inked_pixels(images: Tensor) -> Tensor:
    """Counts the pixels of each image that are above half intensity: int64 (n,)."""
    inked = images.flatten(1).numpy() > HALF
    # numpy with a narrow type: torch adds bits ten times as slowly
    return torch.from_numpy(inked.sum(axis=1, dtype=np.uint16).astype(np.int64))


def describe_near_empty(splits: Sequence[Split], folder: Path) -> Section:
    """Counts near-empty and blank images, and draws faintest.png of the training images."""
    inked = {split.name: inked_pixels(split.images) for split in splits}
    counts = [
        (
            split.name,
            f"{int((inked[split.name] < NEAR_EMPTY_PIXELS).sum()):,}",
            f"{int((split.images.flatten(1).amax(1) == 0).sum()):,}",
            str(int(inked[split.name].min())),
            f"{inked[split.name].double().mean():.1f}",
        )
        for split in splits
    ]
    training = splits[0]
    places = inked["training"].argsort(stable=True)[:NUM_FAINTEST]
    faintest = [
        (str(int(training.indices[place])), str(int(training.labels[place])), str(int(pixels)))
        for place, pixels in zip(places, inked["training"][places], strict=True)
    ]
    titles = [f"no. {index}\na {label}: {pixels}" for index, label, pixels in faintest]
    save_figure(digit_grid(training.images[places], titles, columns=5), folder / "faintest.png")
    return Section(
        "Near-empty images",
        f"An inked pixel is one above half intensity ({HALF} of 255). An image with fewer than "
        f"{NEAR_EMPTY_PIXELS} of them counts as near-empty, one whose pixels are all 0 as blank.",
        tables=[
            Table(
                ("images", "near-empty", "blank", "fewest inked pixels", "mean inked pixels"),
                counts,
                f"near-empty images: fewer than {NEAR_EMPTY_PIXELS} pixels above half intensity",
            ),
            Table(
                ("index", "label", "inked pixels"),
                faintest,
                "the faintest training images, by their index in the training part",
            ),
        ],
        pictures=[
            Picture(
                folder / "faintest.png",
                "The faintest training images: index in the training part, label, inked pixels.",
            )
        ],
    )
