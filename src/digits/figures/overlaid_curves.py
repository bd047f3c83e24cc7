"""The loss curves of several groups of runs in one picture."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

History = Sequence[Mapping[str, float]]
"""What metrics.csv holds: a row an epoch."""
NUM_DISTINCT = 10


def draw_overlaid_curves(groups: Mapping[str, Sequence[History]]) -> Figure:
    """Draws the mean loss of each group by epoch, training dashed and validation solid.

    The band of a group reaches from the least to the greatest validation loss of its runs. Where
    runs ended after different numbers of epochs, an epoch is drawn if all of them reached it.

    Args:
        groups: of each group, by its name, the histories of its runs.
    """
    figure = Figure(figsize=(8.5, 5), layout="constrained")
    axes = figure.subplots()
    colours = _colours(len(groups))
    for colour, (name, histories) in zip(colours, groups.items(), strict=True):
        epochs, train = _by_epoch(histories, "train/loss")
        axes.plot(epochs, train.mean(axis=0), color=colour, linestyle="--", linewidth=1)
        epochs, val = _by_epoch(histories, "val/loss")
        axes.plot(epochs, val.mean(axis=0), "o-", color=colour, markersize=3, label=name)
        if len(val) > 1:
            axes.fill_between(
                epochs, val.min(axis=0), val.max(axis=0), color=colour, alpha=0.18, linewidth=0
            )
    axes.set(xlabel="epoch", ylabel="cross-entropy loss (nats)", title="Loss", yscale="log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3, which="both")
    styles = [
        Line2D([], [], color="black", marker="o", markersize=3, label="validation"),
        Line2D([], [], color="black", linestyle="--", linewidth=1, label="training"),
    ]
    axes.legend(handles=styles, loc="upper right", fontsize="small")
    columns = 1 if max(map(len, groups)) > 50 else 2 if max(map(len, groups)) > 25 else 4
    lines = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    figure.legend(
        handles=lines,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize="small",
    )
    return figure


def _colours(number: int) -> Sequence[str | tuple[float, ...]]:
    if number <= NUM_DISTINCT:
        return [f"C{place}" for place in range(number)]
    return [tuple(colormaps["turbo"](place)) for place in np.linspace(0.05, 0.95, number)]


def _by_epoch(histories: Sequence[History], column: str) -> tuple[list[float], np.ndarray]:
    """Returns the epochs that all runs measured, and the values: (runs, epochs)."""
    measured = [
        {row["epoch"]: row[column] for row in history if column in row} for history in histories
    ]
    epochs = sorted(set.intersection(*map(set, measured)))
    return epochs, np.array([[each[epoch] for epoch in epochs] for each in measured])
