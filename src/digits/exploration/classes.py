"""How many images of each digit there are."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from digits.data.images import NUM_CLASSES
from digits.exploration.splits import Split
from digits.figures import draw_class_balance, save_figure
from digits.page import Picture, Section, Table


def class_counts(labels: Tensor) -> Tensor:
    """Counts the images of each digit: int64 (10,)."""
    return torch.bincount(labels, minlength=NUM_CLASSES)


def describe_classes(splits: Sequence[Split], folder: Path) -> Section:
    """Counts the digits of each split, and draws class_balance.png into the folder."""
    counts = {split.name: class_counts(split.labels) for split in splits}
    columns = ["digit"]
    for name in counts:
        columns += [name, "share"]
    rows = [
        [str(digit), *_numbers_and_shares([numbers[digit] for numbers in counts.values()], counts)]
        for digit in range(NUM_CLASSES)
    ]
    rows.append(["all", *_numbers_and_shares([each.sum() for each in counts.values()], counts)])
    save_figure(draw_class_balance(counts), folder / "class_balance.png")
    return Section(
        "Classes",
        f"{_in_words(counts['training'])} The validation images are drawn with the same share of "
        "each digit.",
        tables=[Table(columns, rows, "images of each digit")],
        pictures=[
            Picture(
                folder / "class_balance.png",
                "Share of each digit among the training, validation and test images.",
            )
        ],
    )


def _in_words(numbers: Tensor) -> str:
    often, rarely = int(numbers.argmax()), int(numbers.argmin())
    most, fewest = int(numbers[often]), int(numbers[rarely])
    balance = (
        f"Each digit is shown by {most:,} training images."
        if most == fewest
        else f"Of the training images, {most:,} show a {often}, the most frequent digit, and "
        f"{fewest:,} a {rarely}, the rarest."
    )
    share = most / int(numbers.sum())
    return f"{balance} Who always says {often} is right about {share:.1%} of them."


def _numbers_and_shares(numbers: Sequence[Tensor], counts: dict[str, Tensor]) -> list[str]:
    cells = []
    for number, of_all in zip(numbers, counts.values(), strict=True):
        cells += [f"{int(number):,}", f"{number / of_all.sum():.2%}"]
    return cells
