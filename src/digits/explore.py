"""What is in the data: numbers and pictures of the images that a run trains on."""

import itertools
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from digits.data.datasets import (
    CLASSES,
    MNIST,
    NOT_MNIST,
    OF_VERB,
    SAMPLE,
    WRITERS,
    class_word,
    classes_of,
    prepare,
    read,
    read_writers,
)
from digits.data.split import pixel_mean_std
from digits.data.validation import split_images
from digits.errors import DigitsError
from digits.figures import digit_grid, draw_class_balance, draw_pixel_histogram, save_figure
from digits.page import Picture, Section, Table

FIXED_NORMS = {"unit": (0.0, 1.0), "half": (0.5, 0.5)}
"""What norm=unit and norm=half subtract from pixels in [0, 1], and divide by; as in conf/norm."""

NUM_SAMPLES = 10
"""Images of each digit on samples.png."""
PAGE = "index.html"
PICTURES = (
    *("class_balance.png", "pixel_histogram.png", "samples.png", "mean_images.png"),
    "std_images.png",
)

HALF = 127
"""A pixel above it is nearer to full ink than to the background."""
NEAR_EMPTY_PIXELS = 20
"""An image with fewer pixels above `HALF` is near-empty: a 1 of 2 by 10 pixels has as many."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images of one use."""

    name: str  # "training", "validation" or "test"
    images: Tensor  # uint8 (n, 1, 28, 28)
    labels: Tensor  # int64 (n,), indices of classes
    writers: np.ndarray | None = None  # int32 (n,), if it is known who wrote the images
    classes: tuple[str, ...] = CLASSES  # their names


def read_splits(
    folder: Path,
    source: str,
    val_size: int | None,
    split_seed: int,
    split: str = "random",
    name: str = MNIST,
) -> tuple[str, list[Split]]:
    """Return the data set's name, and a run's training, validation and test images.

    The options are those of `MNISTDataModule`; without validation images there is no such split.

    Raises:
        DigitsError: If the data or the split cannot be had.
    """
    dataset = prepare(folder, source, name, split, OF_VERB)
    train, test = read(folder, "train", dataset), read(folder, "test", dataset)
    parts = split_images(
        folder, dataset, train.labels, val_size, None, split, split_seed, option=OF_VERB.val_size
    )
    writers, classes = None, classes_of(folder, dataset)
    if dataset in WRITERS:
        with suppress(DigitsError):  # nobody has asked for them
            writers, _ = read_writers(folder, dataset, train.labels)
    splits = []
    for each, indices in zip(("training", "validation"), parts, strict=True):
        wrote = None if writers is None else writers[indices.numpy()]
        splits.append(Split(each, train.images[indices], train.labels[indices], wrote, classes))
    splits.append(Split("test", test.images, test.labels, classes=classes))
    return dataset, [each for each in splits if len(each.labels)]


def lead(dataset: str, splits: Sequence[Split]) -> str:
    """Say which images these are."""
    numbers = {split.name: f"{len(split.labels):,}" for split in splits}
    training, validation, test = (
        numbers.get(name, "none") for name in ("training", "validation", "test")
    )
    warning = f"This is {NOT_MNIST} " if dataset == SAMPLE else ""
    return (
        f"Dataset: {dataset}. {warning}"
        f"{training} images to train on, {validation} to validate and {test} to test with, as in "
        "a run. Test images are measured here, but pictures are of training images only."
    )


def explore(splits: Sequence[Split], folder: Path) -> list[Section]:
    """Measure training, validation and test images; draw the pictures into an existing folder."""
    return [
        describe_shapes(splits),
        describe_classes(splits, folder),
        *describe_writers(splits),
        describe_pixels(splits, folder),
        draw_digits(splits[0], folder),
        describe_near_empty(splits),
        describe_duplicates(splits),
    ]


def _picture(path: Path, figure: Figure, caption: str) -> Picture:
    save_figure(figure, path)
    return Picture(path, caption)


def describe_shapes(splits: Sequence[Split]) -> Section:
    """Describe how images and labels lie in memory, and which values occur."""
    rows = []
    for split in splits:
        for what, tensor in (("images", split.images), ("labels", split.labels)):
            low, high = (str(int(value)) for value in tensor.aminmax())
            dtype = str(tensor.dtype).removeprefix("torch.")
            rows.append((f"{split.name} {what}", str(tuple(tensor.shape)), dtype, low, high))
    return Section(
        "Shapes and values",
        "The shape of images is (number, channels, height, width); they are bytes, where 0 is "
        "background and 255 is full ink. A run normalizes them batch by batch.",
        tables=[Table(("tensor", "shape", "dtype", "min", "max"), rows, "shapes and values")],
    )


def describe_writers(splits: Sequence[Split]) -> list[Section]:
    """Count those who wrote the training and validation images, if they are known."""
    of = {split.name: set(split.writers.tolist()) for split in splits if split.writers is not None}
    if not of:
        return []
    rows = [(name, f"{len(writers):,}") for name, writers in of.items()]
    number = len(set.union(*of.values()))
    text = f"{number:,} people wrote these images, and others the test images."
    if len(of) > 1:
        rows.append(("in both", f"{len(set.intersection(*of.values())):,}"))
        text += " With --split writers, as with data.split=writers, nobody is in both."
    return [Section("Writers", text, tables=[Table(("split", "writers"), rows, "writers")])]


def describe_classes(splits: Sequence[Split], folder: Path) -> Section:
    """Count the classes of each split, and draw class_balance.png into the folder."""
    classes, word = splits[0].classes, class_word(splits[0].classes)
    counts = {split.name: torch.bincount(split.labels, minlength=len(classes)) for split in splits}
    rows, columns = [[name] for name in (*classes, "all")], [word]
    for name, numbers in counts.items():
        columns += [name, "share"]
        total = int(numbers.sum())
        for row, number in zip(rows, [*numbers.tolist(), total], strict=True):
            row += [f"{number:,}", f"{number / total:.2%}"]
    numbers = counts["training"]
    *first, last = counts
    caption = f"Share of each {word} among the {', '.join(first)} and {last} images."
    figure, mode = draw_class_balance(counts, classes, word), int(numbers.argmax())
    return Section(
        "Classes",
        f"Always answering {classes[mode]} is right in {numbers[mode] / numbers.sum():.1%} of the "
        f"training images; no {word} is more frequent.",
        tables=[Table(columns, rows, f"images of each {word}")],
        pictures=[_picture(folder / "class_balance.png", figure, caption)],
    )


def describe_pixels(splits: Sequence[Split], folder: Path) -> Section:
    """Measure the pixels of each split, and draw pixel_histogram.png into the folder."""
    counts = {split.name: torch.bincount(split.images.flatten(), minlength=256) for split in splits}
    training, *validation, _ = splits
    exact = {split.name: pixel_mean_std(split.images) for split in splits}
    for split in validation:
        both = torch.cat([training.images, split.images])
        exact["training and validation"] = pixel_mean_std(both)
    mean, std = exact["training"]
    low, high = (int(value) / 255 for value in training.images.aminmax())
    norms = []
    for name, (shift, scale) in (FIXED_NORMS | {"exact": (mean, std)}).items():
        normalized = ((value - shift) / scale for value in (mean, shift + std, low, high))
        norms.append((name, *(f"{value:.6f}" for value in (shift, scale, *normalized))))
    background = counts["training"][0] / counts["training"].sum()
    caption = "Share of each pixel value in the training, validation and test images."
    return Section(
        "Pixels",
        f"{background:.1%} of the training pixels are background, exactly 0. Means and standard "
        "deviations are those of pixels in [0, 1]; they are computed from integer sums, exact to "
        "the last digit shown.\n\n"
        "norm=exact takes them from the training images alone: statistics of validation or test "
        "images would leak into what is measured on those. It brings the training pixels to mean 0 "
        "and standard deviation 1.",
        tables=[
            Table(
                ("split", "mean", "standard deviation"),
                [(name, *map(repr, values)) for name, values in exact.items()],
                "exact mean and standard deviation",
            ),
            Table(
                ("norm", "minus", "divided by", "mean", "std", "min", "max"),
                norms,
                "the training pixels after normalization",
            ),
        ],
        pictures=[_picture(folder / "pixel_histogram.png", draw_pixel_histogram(counts), caption)],
    )


def class_mean_std_images(
    images: Tensor, labels: Tensor, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Compute each class's mean image and standard-deviation image: float (classes, 28, 28).

    The pixels are those in [0, 1], the standard deviation is the population's, at most 0.5. Both
    are NaN for a class without images.
    """
    means, stds = [], []
    for label in range(num_classes):
        of_class = images[labels == label, 0].float() / 255
        means.append(of_class.mean(dim=0))
        stds.append((of_class - means[-1]).square().mean(dim=0).sqrt())
    return torch.stack(means), torch.stack(stds)


def draw_digits(training: Split, folder: Path) -> Section:
    """Draw samples.png, mean_images.png and std_images.png into the folder."""
    classes, word, labels = training.classes, class_word(training.classes), training.labels
    first = [(labels == label).nonzero()[:NUM_SAMPLES, 0] for label in range(len(classes))]
    means, stds = class_mean_std_images(training.images, labels, len(classes))
    return Section(
        f"What each {word} looks like",
        f"Mean and standard deviation are those of each pixel over all images of a {word}. The "
        "standard deviation is bright where they vary. For pixels in [0, 1] it is at most 0.5.",
        pictures=[
            _picture(
                folder / "samples.png",
                digit_grid(training.images[torch.cat(first)], columns=NUM_SAMPLES),
                f"The first {NUM_SAMPLES} training images of each {word}.",
            ),
            _picture(
                folder / "mean_images.png",
                digit_grid(means, classes, columns=5, limits=(0, 1)),
                f"The mean of all training images of each {word}, from 0 to 1.",
            ),
            _picture(
                folder / "std_images.png",
                digit_grid(stds, classes, columns=5, limits=(0, 0.5)),
                f"The standard deviation of the training images of each {word}, from 0 to 0.5.",
            ),
        ],
    )


def describe_near_empty(splits: Sequence[Split]) -> Section:
    """Count near-empty and blank images."""
    rows = []
    for split in splits:
        inked = (split.images.flatten(1) > HALF).sum(dim=1)
        num_near_empty = (inked < NEAR_EMPTY_PIXELS).sum()
        num_blank = (split.images.flatten(1).amax(dim=1) == 0).sum()
        rows.append((split.name, f"{num_near_empty:,}", f"{num_blank:,}", f"{inked.min()}"))
    columns = ("split", "near-empty", "blank", "min inked pixels")
    return Section(
        "Near-empty images",
        f"An inked pixel is one above half intensity ({HALF} of 255). An image with fewer than "
        f"{NEAR_EMPTY_PIXELS} of them counts as near-empty, one whose pixels are all 0 as blank.",
        tables=[Table(columns, rows, "near-empty images")],
    )


def describe_duplicates(splits: Sequence[Split]) -> Section:
    """Count pairs of equal images within splits and between them."""
    images = torch.cat([split.images for split in splits])
    labels = torch.cat([split.labels for split in splits]).tolist()
    split_of = [split.name for split in splits for _ in split.labels]
    equal: dict[bytes, list[int]] = {}
    for place, row in enumerate(images.flatten(1).numpy()):
        equal.setdefault(row.tobytes(), []).append(place)
    num_equal = sum(len(group) for group in equal.values() if len(group) > 1)
    pairs = [pair for group in equal.values() for pair in itertools.combinations(group, 2)]
    total = Counter((split_of[a], split_of[b]) for a, b in pairs)
    differing = Counter((split_of[a], split_of[b]) for a, b in pairs if labels[a] != labels[b])
    names = [split.name for split in splits]
    rows = [
        (f"within {a}" if a == b else f"{a} and {b}", f"{total[a, b]:,}", f"{differing[a, b]:,}")
        for a, b in itertools.combinations_with_replacement(names, 2)
    ]
    columns = ("where", "pairs of equal images", "labelled differently")
    return Section(
        "Duplicates",
        f"Of all {len(images):,} images, {num_equal:,} are equal to another in every pixel.",
        tables=[Table(columns, rows, "images that are equal in every pixel")],
    )


def log_to_tensorboard(folder: Path, sections: Sequence[Section]) -> None:
    """Write pictures, and tables as text, to an event file.

    TensorBoard forgets what earlier ones in the folder say.
    """
    from PIL import Image
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=0) as writer:
        for section in sections:
            tables = [table.as_markdown() for table in section.tables]
            writer.add_text(section.title, "\n\n".join([section.text, *tables]), global_step=0)
            for picture in section.pictures:
                with Image.open(picture.path) as image:
                    pixels = np.asarray(image.convert("RGB"))
                writer.add_image(picture.path.stem, pixels, global_step=0, dataformats="HWC")
