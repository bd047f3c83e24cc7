"""Every picture, drawn by matplotlib without its global state."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from digits.files import whole_file
from digits.groups import Group
from digits.run_directory import CURVES, read_history
from digits.statistics import mean_std

if TYPE_CHECKING:
    from torch import Tensor


COLOURS = ("#1f77b4", "#d95f02", "#1b9e77")
"""Of training, validation and test."""

DPI = 120
SIDE, GAP = 28, 2
"""Pixels of a digit along each side, and pixels between two digits."""
INCHES_PER_PIXEL = 3 / DPI
"""So that each pixel of a digit becomes a square of three by three, all of the same size."""
TITLE_LINE, HEADING_LINE = 4.5, 9
"""Height of a line of text, in a digit's pixels."""
NUM_CURVES = 10
"""Groups of a sweep whose curves are drawn."""
MIN_COLUMNS = 5
"""A picture is at least as wide as so many digits, to hold its heading."""


def digit_grid(
    images: "Tensor",
    titles: Sequence[str] | None = None,
    columns: int = 10,
    title: str = "",
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw images row by row.

    They are joined into one picture first, since a hundred axes would take seconds.

    Args:
        images: (n, 28, 28) or (n, 1, 28, 28), uint8 or float; n above 0.
        titles: One over each image, each of one or more short lines.
        columns: Images in a row.
        title: Heading over everything, one line.
        limits: The values shown as black and white; by default 0 and 255 for bytes, minimum and
            maximum for floats.
    """
    if limits is None and not images.is_floating_point():
        limits = (0, 255)
    tiles = images.detach().cpu().reshape(-1, SIDE, SIDE).float().numpy()
    columns = min(columns, len(tiles))
    num_lines = max((text.count("\n") + 1 for text in titles or ()), default=0)
    above = GAP + round(TITLE_LINE * num_lines)  # from one row of tiles to the next
    # Rows of tiles, `GAP` to the left of each and `above` over it; NaN is empty.
    num_rows = -(-len(tiles) // columns)
    canvas = np.full((num_rows * columns, above + SIDE, GAP + SIDE), np.nan, dtype=np.float32)
    canvas[: len(tiles), above:, GAP:] = tiles
    canvas = np.block([list(canvas[row * columns :][:columns]) for row in range(num_rows)])

    width = max(columns, MIN_COLUMNS) * (GAP + SIDE) + GAP
    top = HEADING_LINE if title else 0
    bottom = top + len(canvas)
    figure = Figure((width * INCHES_PER_PIXEL, (bottom + GAP) * INCHES_PER_PIXEL), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))  # one unit of its axes is a digit's pixel
    axes.set_axis_off()
    axes.imshow(
        canvas,
        cmap=colormaps["gray"].with_extremes(bad="white"),
        clim=limits,
        extent=(0, canvas.shape[1], bottom, top),
        interpolation="nearest",
        aspect="auto",
    )
    axes.set(xlim=(0, width), ylim=(bottom + GAP, 0))
    axes.text(GAP, GAP, title, va="top", fontsize=9, fontweight="bold")
    for place, text in enumerate(titles or ()):
        row, column = divmod(place, columns)
        x = column * (GAP + SIDE) + GAP + SIDE / 2
        y = top + row * (above + SIDE) + above - 0.7
        axes.text(x, y, text, ha="center", va="bottom", fontsize=6.5, linespacing=1.1)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a picture as PNG, whole or not at all."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=DPI)


def _axes(
    width: float, height: float, grid: Literal["x", "y", "both"] | None = None
) -> tuple[Figure, Axes]:
    figure = Figure((width, height), layout="constrained")
    axes = figure.subplots()
    if grid:
        axes.grid(axis=grid, alpha=0.3)
        axes.set_axisbelow(True)
    return figure, axes


def draw_class_balance(
    counts: "Mapping[str, Tensor]", classes: Sequence[str], kind: str = "digit"
) -> Figure:
    """Draw the share of each class as bars, from each split's number of images of each."""
    figure, axes = _axes(7.5, 3.6, grid="y")
    width = 0.8 / len(counts)
    for place, (name, numbers) in enumerate(counts.items()):
        axes.bar(
            np.arange(len(numbers)) - 0.4 + (place + 0.5) * width,
            (100 * numbers / numbers.sum()).tolist(),
            width,
            color=COLOURS[place],
            label=f"{name} ({int(numbers.sum()):,})",
        )
    share = 100 / len(classes)
    axes.axhline(share, color="grey", linewidth=0.8, linestyle="--", label=f"{share:.3g}%")
    axes.set(xlabel=kind, ylabel="share of the images (%)", title="Class balance")
    axes.set_xticks(range(len(classes)), classes, rotation=_rotation(classes))
    axes.margins(x=0.02, y=0.05)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def draw_pixel_histogram(counts: "Mapping[str, Tensor]") -> Figure:
    """Draw the share of each pixel value, from each split's number of pixels of each: (256,)."""
    figure, axes = _axes(7.5, 3.8, grid="both")
    edges = np.arange(257) - 0.5
    for place, (name, numbers) in enumerate(counts.items()):
        # Lines that nearly coincide can be told apart if one of them is an area.
        area = place == 0
        axes.stairs(
            (100 * numbers / numbers.sum()).tolist(),
            edges.tolist(),
            fill=area,
            alpha=0.4 if area else 1,
            color=COLOURS[place],
            label=name,
        )
    axes.set(
        xlabel="pixel value (0: background, 255: full ink)",
        ylabel="share of the pixels (%)",
        title="Pixel histogram",
        yscale="log",
        xlim=(-4, 259),
    )
    axes.set_xticks([0, 32, 64, 96, 128, 160, 192, 224, 255])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend(loc="upper center", ncols=3)
    return figure


def _rotation(classes: Sequence[str]) -> int:
    return 90 if len("".join(classes)) > 30 else 0


def confusion_matrix(counts: "Tensor", classes: Sequence[str], kind: str = "digit") -> Figure:
    """Draw a confusion matrix, where the shade of a mistake is its share of the row.

    The diagonal has no shade: next to it, 20 mistakes in 1,000 images would look like none.

    Args:
        counts: int64 (classes, classes), images by true class (row) and predicted class (column).
        classes: their names.
        kind: what a class is called.
    """
    table = counts.numpy()
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    figure, axes = _axes(6, 5.6)
    # Light enough for black numbers on the darkest cell.
    axes.imshow(shares, cmap="Oranges", vmin=0, vmax=max(float(shares.max()), 1e-3) * 1.6)
    for row, column in np.ndindex(*table.shape):
        if table[row, column]:
            text = axes.text(column, row, f"{table[row, column]:,}", ha="center", va="center")
            if row == column:
                text.set(fontweight="bold", color="#1a5e1a")
    axes.set(xlabel=f"predicted {kind}", ylabel=f"true {kind}", title="Confusion matrix")
    axes.set_xticks(range(len(table)), classes, rotation=_rotation(classes))
    axes.set_yticks(range(len(table)), classes)
    return figure


def reliability_diagram(bins: "Tensor", calibration_error: float) -> Figure:
    """Draw the accuracy of each bin of confidence, and how many images are in it.

    Args:
        bins: float64 (number of bins, 3): images, mean confidence and accuracy.
        calibration_error: The expected calibration error, for the title.
    """
    counts, confidences, accuracies = bins.numpy().T
    some = counts > 0
    figure = Figure(figsize=(5.2, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    upper.plot([0, 1], [0, 1], color="#999999", linestyle="--", label="perfectly calibrated")
    upper.plot(
        confidences[some], accuracies[some], "o-", color="#1f77b4", label="measured", markersize=4
    )
    upper.set(ylabel="accuracy", title=f"Reliability, calibration error {calibration_error:.2%}")
    upper.legend(loc="upper left")
    width = 1 / len(counts)
    centres = (np.arange(len(counts)) + 0.5) * width
    lower.bar(centres, counts, width=width * 0.9, color="#1f77b4")
    lower.set(xlabel="confidence: probability of the chosen class", ylabel="images", xlim=(0, 1))
    lower.set_yscale("log")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    return figure


History = Sequence[Mapping[str, float]]
"""What metrics.csv holds: one row per epoch."""


def draw_overlaid_curves(groups: Mapping[str, Sequence[History]]) -> Figure:
    """Draw the mean loss of each group by epoch, training dashed and validation solid.

    The band of a group is the mean of its runs' validation losses ± one standard deviation. If runs
    ended after different numbers of epochs, an epoch is drawn if all of them reached it.
    """
    figure, axes = _axes(8.5, 5, grid="both")
    lines = []
    for colour, (name, histories) in zip(_colours(len(groups)), groups.items(), strict=True):
        epochs, train = _by_epoch(histories, "train/loss")
        style: Any = {"color": colour, "markersize": 1.5, "linewidth": 1, "label": name}
        trained = axes.plot(epochs, train.mean(axis=0), "o--", **style)
        epochs, losses = _by_epoch(histories, "val/loss")
        validated = _draw_mean(axes, epochs, losses, colour, name)
        lines += validated if epochs else trained
    axes.set_title("Loss")
    _make_loss_axes(axes)
    styles = [Line2D([], [], color="black", linestyle="--", linewidth=1, label="training")]
    if any(
        "val/loss" in row for histories in groups.values() for rows in histories for row in rows
    ):
        validation = Line2D([], [], color="black", marker="o", markersize=3, label="validation")
        styles.insert(0, validation)
    axes.legend(handles=styles, loc="upper right", fontsize="small")
    columns = max(1, 100 // max(25, *map(len, groups)))  # as many names as fit
    figure.legend(
        handles=lines, loc="outside lower center", ncols=columns, frameon=False, fontsize="small"
    )
    return figure


def _colours(number: int) -> list[Any]:
    # The ten colours that are told apart best, while they suffice.
    found = colormaps["tab10" if number <= 10 else "turbo"].resampled(max(10, number))
    return [found(place) for place in range(number)]


def _make_loss_axes(axes: Axes) -> None:
    axes.set(xlabel="epoch", ylabel="cross-entropy loss (nats)", yscale="log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _draw_mean(
    axes: Axes, x: Sequence[float], values: np.ndarray, colour: Any, label: str
) -> list[Line2D]:
    """Draw the mean of (runs, places) and, of several runs, a band of ± one standard deviation."""
    mean = values.mean(axis=0)
    if len(values) > 1:
        std = values.std(axis=0, ddof=1)
        # A logarithmic axis has no place for 0.
        low = np.where(mean > std, mean - std, values.min(axis=0))
        axes.fill_between(x, low, mean + std, color=colour, alpha=0.18, linewidth=0)
    return axes.plot(x, mean, "o-", color=colour, markersize=3, label=label)


def _by_epoch(histories: Sequence[History], column: str) -> tuple[list[float], np.ndarray]:
    """Return the epochs that all runs measured, and the values: (runs, epochs)."""
    measured = [
        {row["epoch"]: row[column] for row in history if column in row} for history in histories
    ]
    epochs = sorted(set.intersection(*map(set, measured)))
    return epochs, np.array([[each[epoch] for epoch in epochs] for each in measured])


def draw_loss_curves(run_dir: Path) -> None:
    """Draw training and validation loss by epoch into the run's loss_curves.png."""
    figure = draw_overlaid_curves({run_dir.name: [read_history(run_dir)]})
    save_figure(figure, run_dir / CURVES)


def draw_leaderboard(title: str, groups: Sequence[Group], num_groups: int) -> Figure:
    """Draw a sweep's validation accuracies, a dot a job, and the best groups' losses by epoch.

    The `groups` are those of all `num_groups` that are shown, the best first.
    """
    height, width = 1 + 0.32 * len(groups), 4.5 + 0.075 * max(len(group.name) for group in groups)
    figure = Figure((max(7, width), height + 3.5), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(height, 3.5))
    colours = _colours(min(len(groups), NUM_CURVES))
    for row, group in enumerate(groups):
        colour = colours[row] if row < NUM_CURVES else "silver"
        accuracies = 100 * np.array(group.values("val/accuracy"))
        upper.plot(accuracies, np.full(len(accuracies), row), "o", color=colour, alpha=0.6)
        upper.vlines(accuracies.mean(), row - 0.3, row + 0.3, color=colour, linewidth=2.5)
        if row < NUM_CURVES:
            histories = [run.history for run in group.runs]
            _draw_mean(lower, *_by_epoch(histories, "val/loss"), colour, group.name)
    upper.set_yticks(range(len(groups)), [group.name for group in groups], fontsize="small")
    upper.set_ylim(len(groups) - 0.4, -0.6)  # the best at the top
    upper.set_xlabel("validation accuracy (%): each job, and the mean")
    upper.set_title(title + (f": the best {len(groups)}" if len(groups) < num_groups else ""))
    best = f" of the best {NUM_CURVES}" if len(groups) > NUM_CURVES else ""
    lower.set_title(f"Validation loss{best}, mean ± standard deviation", fontsize="medium")
    _make_loss_axes(lower)
    for axes in (upper, lower):
        axes.grid(axis="x" if axes is upper else "both", alpha=0.3)
        axes.set_axisbelow(True)
    return figure


def draw_learning_curve(settings: Mapping[str, Mapping[int, Sequence[float]]], part: str) -> Figure:
    """Draw the accuracies of each setting's runs on a part, by the number of training images."""
    figure, axes = _axes(7, 4.2, grid="both")
    for colour, (name, by_size) in zip(_colours(len(settings)), settings.items(), strict=True):
        sizes = sorted(by_size)
        for size in sizes:
            accuracies = [100 * each for each in by_size[size]]
            axes.plot([size] * len(accuracies), accuracies, ".", color=colour, alpha=0.4)
        means, stds = zip(*(mean_std(by_size[size]) for size in sizes), strict=True)
        mean, std = 100 * np.array(means), 100 * np.array([each or 0.0 for each in stds])
        axes.fill_between(sizes, mean - std, mean + std, color=colour, alpha=0.18, linewidth=0)
        axes.plot(sizes, mean, "o-", color=colour, markersize=4, label=name)
    axes.set(xlabel="training images", ylabel=f"{part} accuracy (%)", xscale="log")
    axes.set_title("Learning curve")
    sizes = sorted({size for by_size in settings.values() for size in by_size})
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend(loc="lower right", fontsize="small")
    return figure


def draw_range_test(
    each: tuple[np.ndarray, np.ndarray], smoothed: tuple[np.ndarray, np.ndarray], suggested: float
) -> Figure:
    """Draw the loss over the learning rate: rates and losses of each minibatch, and smoothed."""
    figure, axes = _axes(7, 4.2, grid="both")
    axes.plot(*each, ".", color="grey", alpha=0.4, label="each minibatch")
    axes.plot(*smoothed, color=COLOURS[0], label="smoothed")
    axes.axvline(suggested, color=COLOURS[1], linestyle="--", label=f"steepest: {suggested:g}")
    axes.set(xlabel="learning rate", ylabel="training loss (nats)", xscale="log")
    axes.set_title("Learning-rate range test")
    axes.set_ylim(0, 1.5 * float(smoothed[1][0]))  # the end goes through the roof
    axes.legend(fontsize="small")
    return figure
