"""What is in the data: numbers and pictures of the images that a run trains on."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from digits.data.datasets import CLASSES, NUM_CLASSES, SAMPLE, prepare, read
from digits.data.split import pixel_mean_std, stratified_split
from digits.figures import digit_grid, draw_class_balance, draw_pixel_histogram, save_figure
from digits.page import Picture, Section, Table
from digits.text import markdown_table

FIXED_NORMS = {"unit": (0.0, 1.0), "half": (0.5, 0.5)}
"""What norm=unit and norm=half subtract from pixels in [0, 1], and divide by; as in conf/norm."""

NUM_SAMPLES = 10
"""Images of each digit on samples.png."""

HALF = 127
"""A pixel above it is nearer to full ink than to the background."""
NEAR_EMPTY_PIXELS = 20
"""An image with fewer pixels above `HALF` is near-empty: a 1 of 2 by 10 pixels has as many."""
NUM_FAINTEST = 10

MAX_DUPLICATES = 36
"""Images on duplicates.png."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images of one use.

    Attributes:
        name: "training", "validation" or "test".
        images: uint8 (n, 1, 28, 28).
        labels: int64 (n,), 0 to 9.
        indices: int64 (n,), each image's index in the training or test part.
    """

    name: str
    images: Tensor
    labels: Tensor
    indices: Tensor


def read_splits(
    folder: Path, source: str, val_size: int | None, split_seed: int
) -> tuple[str, list[Split]]:
    """Read the training, validation and test images that a run with these options has.

    Args:
        folder: `data.dir` of the run.
        source: `data.source`.
        val_size: `data.val_size`; None for 5,000, or 500 of the sample.
        split_seed: `data.split_seed`.

    Returns:
        The data set's name, and the three splits.

    Raises:
        DigitsError: If there is no such data, or no such split.
    """
    dataset = prepare(folder, source, dir_option="--data-dir", source_option="--source")
    train, test = read(folder, "train", dataset), read(folder, "test", dataset)
    if val_size is None:
        val_size = 500 if dataset == SAMPLE else 5000
    parts = stratified_split(train.labels, val_size, split_seed, "--val-size")
    splits = [
        Split(name, train.images[indices], train.labels[indices], indices)
        for name, indices in zip(("training", "validation"), parts, strict=True)
    ]
    return dataset, [
        *splits,
        Split("test", test.images, test.labels, torch.arange(len(test.labels))),
    ]


def lead(dataset: str, splits: Sequence[Split]) -> str:
    """Say which images these are."""
    training, validation, test = (f"{len(split.labels):,}" for split in splits)
    warning = (
        "This is the embedded sample of 5,000 images, not MNIST: "
        "do not compare these figures with those of MNIST. "
    )
    return (
        f"Dataset: {dataset}. {warning if dataset == SAMPLE else ''}"
        f"{training} images to train on, {validation} to validate and {test} to test with, as in "
        "a run. Test images are measured here, but pictures are of training images only."
    )


def explore(splits: Sequence[Split], folder: Path) -> list[Section]:
    """Measure and draw everything.

    Args:
        splits: Training, validation and test images.
        folder: An existing folder, which the pictures are written to.
    """
    return [
        describe_shapes(splits),
        describe_classes(splits, folder),
        describe_pixels(splits, folder),
        draw_digits(splits[0], folder),
        describe_near_empty(splits, folder),
        describe_duplicates(splits, folder),
    ]


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


def describe_classes(splits: Sequence[Split], folder: Path) -> Section:
    """Count the digits of each split, and draw class_balance.png into the folder."""
    counts = {split.name: torch.bincount(split.labels, minlength=NUM_CLASSES) for split in splits}
    rows = [
        [name, *(cell for numbers in counts.values() for cell in _number_and_share(numbers, which))]
        for name, which in [*zip(CLASSES, range(NUM_CLASSES), strict=True), ("all", None)]
    ]
    columns = ["digit", *itertools.chain(*((name, "share") for name in counts))]
    save_figure(draw_class_balance(counts), folder / "class_balance.png")

    numbers = counts["training"]
    mode, rarest = int(numbers.argmax()), int(numbers.argmin())
    most, fewest = int(numbers[mode]), int(numbers[rarest])
    balance = (
        f"There are {most:,} training images of each digit."
        if most == fewest
        else f"The most frequent digit among the training images is {mode} ({most:,} images), "
        f"the rarest is {rarest} ({fewest:,})."
    )
    return Section(
        "Classes",
        f"{balance} Always answering {mode} is right in {most / int(numbers.sum()):.1%} of them. "
        "The validation images are drawn with the same share of each digit.",
        tables=[Table(columns, rows, "images of each digit")],
        pictures=[
            Picture(
                folder / "class_balance.png",
                "Share of each digit among the training, validation and test images.",
            )
        ],
    )


def _number_and_share(numbers: Tensor, which: int | None) -> tuple[str, str]:
    number = numbers.sum() if which is None else numbers[which]
    return f"{int(number):,}", f"{number / numbers.sum():.2%}"


def normalized(images: Tensor) -> dict[str, tuple[float, ...]]:
    """Compute what each `norm` makes of training images, uint8, without normalizing them.

    Returns:
        By the norm's name: what is subtracted from pixels in [0, 1], what they are then divided by,
        and mean, standard deviation, minimum and maximum of the result.
    """
    mean, std = pixel_mean_std(images)
    low, high = (int(value) / 255 for value in images.aminmax())
    return {
        name: (
            *(shift, scale, (mean - shift) / scale, std / scale),
            *((low - shift) / scale, (high - shift) / scale),
        )
        # Blank images have a standard deviation of 0, which nothing can be divided by.
        for name, (shift, scale) in (FIXED_NORMS | {"exact": (mean, std)}).items()
        if scale
    }


def pixel_counts(images: Tensor) -> Tensor:
    """Count the pixels of each value: int64 (256,)."""
    return torch.bincount(images.flatten(), minlength=256)


def describe_pixels(splits: Sequence[Split], folder: Path) -> Section:
    """Measure the pixels of each split, and draw pixel_histogram.png into the folder."""
    counts = {split.name: pixel_counts(split.images) for split in splits}
    training, validation, _ = splits
    images = {split.name: split.images for split in splits}
    images["training and validation"] = torch.cat([training.images, validation.images])
    exact = [(name, *map(repr, pixel_mean_std(each))) for name, each in images.items()]
    norms = [
        (name, *(f"{value:.6f}" for value in values))
        for name, values in normalized(training.images).items()
    ]
    save_figure(draw_pixel_histogram(counts), folder / "pixel_histogram.png")
    background = counts["training"][0] / counts["training"].sum()
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
                ("split", "mean", "standard deviation"), exact, "exact mean and standard deviation"
            ),
            Table(
                ("norm", "minus", "divided by", "mean", "std", "min", "max"),
                norms,
                "the training pixels after normalization",
            ),
        ],
        pictures=[
            Picture(
                folder / "pixel_histogram.png",
                "Share of each pixel value in the training, validation and test images.",
            )
        ],
    )


def class_mean_std_images(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Compute each digit's mean image and standard-deviation image.

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


def draw_digits(training: Split, folder: Path) -> Section:
    """Draw samples.png, mean_images.png and std_images.png into the folder."""
    first = [(training.labels == digit).nonzero()[:NUM_SAMPLES, 0] for digit in range(NUM_CLASSES)]
    means, stds = class_mean_std_images(training.images, training.labels)
    pictures = []
    for name, figure, caption in (
        (
            "samples",
            digit_grid(training.images[torch.cat(first)], columns=NUM_SAMPLES),
            f"The first {NUM_SAMPLES} training images of each digit.",
        ),
        (
            "mean_images",
            digit_grid(means, CLASSES, columns=5, limits=(0, 1)),
            "The mean of all training images of each digit, from 0 to 1.",
        ),
        (
            "std_images",
            digit_grid(stds, CLASSES, columns=5, limits=(0, 0.5)),
            "The standard deviation of the training images of each digit, from 0 to 0.5.",
        ),
    ):
        save_figure(figure, folder / f"{name}.png")
        pictures.append(Picture(folder / f"{name}.png", caption))
    return Section(
        "What the digits look like",
        "Mean and standard deviation are those of each pixel over all images of a digit. The "
        "standard deviation is bright where handwriting varies: at the edges of the strokes, and "
        "in the slant of the 1. For pixels in [0, 1] it is at most 0.5.",
        pictures=pictures,
    )


def inked_pixels(images: Tensor) -> Tensor:
    """Count the pixels of each image that are above half intensity: int64 (n,)."""
    inked = images.flatten(1).numpy() > HALF
    # numpy with a narrow type: torch adds bits ten times as slowly
    return torch.from_numpy(inked.sum(axis=1, dtype=np.uint16).astype(np.int64))


def describe_near_empty(splits: Sequence[Split], folder: Path) -> Section:
    """Count near-empty and blank images, and draw faintest.png of the training images."""
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
    columns = training.indices[places], training.labels[places], inked["training"][places]
    faintest = [
        [str(value) for value in row]
        for row in zip(*(column.tolist() for column in columns), strict=True)
    ]
    titles = [f"no. {index}\n{label}: {pixels} pixels" for index, label, pixels in faintest]
    save_figure(digit_grid(training.images[places], titles, columns=5), folder / "faintest.png")
    return Section(
        "Near-empty images",
        f"An inked pixel is one above half intensity ({HALF} of 255). An image with fewer than "
        f"{NEAR_EMPTY_PIXELS} of them counts as near-empty, one whose pixels are all 0 as blank.",
        tables=[
            Table(
                ("split", "near-empty", "blank", "min inked pixels", "mean inked pixels"),
                counts,
                f"near-empty images: fewer than {NEAR_EMPTY_PIXELS} inked pixels",
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


def equal_images(images: Tensor) -> list[list[int]]:
    """Find groups of images, uint8 (n, 1, 28, 28), that are equal in every pixel.

    Returns:
        The indices of each group's images, ascending; groups by their first image.
    """
    groups: dict[bytes, list[int]] = {}
    for place, row in enumerate(images.flatten(1).numpy()):
        groups.setdefault(row.tobytes(), []).append(place)
    return [group for group in groups.values() if len(group) > 1]


def describe_duplicates(splits: Sequence[Split], folder: Path) -> Section:
    """Count pairs of equal images, and draw duplicates.png if training images are among them."""
    images = torch.cat([split.images for split in splits])
    labels = torch.cat([split.labels for split in splits])
    split_of = [number for number, split in enumerate(splits) for _ in split.labels]
    groups = equal_images(images)
    pairs = [pair for group in groups for pair in itertools.combinations(group, 2)]
    rows = []
    for first, second in itertools.combinations_with_replacement(range(len(splits)), 2):
        here = [(a, b) for a, b in pairs if (split_of[a], split_of[b]) == (first, second)]
        names = f"{splits[first].name} and {splits[second].name}"
        where = f"within {splits[first].name}" if first == second else names
        differing = sum(bool(labels[a] != labels[b]) for a, b in here)
        rows.append((where, f"{len(here):,}", f"{differing:,}"))
    text = (
        f"Of all {len(images):,} images, {sum(map(len, groups)):,} have an exact duplicate; they "
        f"make {len(groups):,} groups of equal images."
        if groups
        else f"Of all {len(images):,} images, no two are equal in every pixel."
    )
    training, pictures = splits[0], []
    # Training images come first, so an index among all images is one among them, too.
    shown = [place for group in groups for place in group if place < len(training.labels)]
    if shown := shown[:MAX_DUPLICATES]:
        path = folder / "duplicates.png"
        titles = [f"no. {training.indices[each]}\nlabel {training.labels[each]}" for each in shown]
        save_figure(digit_grid(training.images[shown], titles, columns=6), path)
        caption = "Training images with an exact duplicate: index in the training part, label."
        pictures = [Picture(path, caption)]
    columns = ("where", "pairs of equal images", "labelled differently")
    table = Table(columns, rows, "images that are equal in every pixel")
    return Section("Duplicates", text, tables=[table], pictures=pictures)


def log_to_tensorboard(folder: Path, splits: Sequence[Split], sections: Sequence[Section]) -> None:
    """Write an event file: pictures, tables as text, and a pixel histogram of each split.

    Args:
        folder: Where it is written; TensorBoard forgets what earlier ones in it say.
        splits: Training, validation and test images.
        sections: What `explore` returned.
    """
    from PIL import Image
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=0) as writer:
        for section in sections:
            blocks = [section.text]
            for table in section.tables:
                grid = markdown_table(table.columns, table.rows, table.numeric)
                blocks += [f"**{table.title}**", grid]
            writer.add_text(section.title, "\n\n".join(blocks), global_step=0)
            for picture in section.pictures:
                with Image.open(picture.path) as image:
                    pixels = np.asarray(image.convert("RGB"))
                writer.add_image(picture.path.stem, pixels, global_step=0, dataformats="HWC")
        values = np.arange(256)
        for split in splits:
            counts = pixel_counts(split.images).numpy()
            writer.add_histogram_raw(  # add_histogram would sort millions of pixels
                f"pixels/{split.name}",
                min=0,
                max=255,
                num=int(counts.sum()),
                sum=int(values @ counts),
                sum_squares=int(values**2 @ counts),
                bucket_limits=(values + 0.5).tolist(),
                bucket_counts=counts.tolist(),
                global_step=0,
            )
