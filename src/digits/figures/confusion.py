"""Which digits are taken for which others, and how far a confidence can be trusted."""

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor


def confusion_matrix(counts: Tensor) -> Figure:
    """Draws a confusion matrix; the shade of the mistakes is that of their share of the row.

    The diagonal has no shade: beside it, 20 mistakes in 1,000 images would look like none.

    Args:
        counts: int64 (10, 10), images by label (row) and predicted class (column).
    """
    table = counts.numpy()
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    figure = Figure(figsize=(6, 5.6), layout="constrained")
    axes = figure.subplots()
    # Light enough for black figures on the darkest cell.
    axes.imshow(shares, cmap="Oranges", vmin=0, vmax=max(float(shares.max()), 1e-3) * 1.6)
    for row, column in np.ndindex(*table.shape):
        if table[row, column]:
            text = axes.text(column, row, f"{table[row, column]:,}", ha="center", va="center")
            if row == column:
                text.set(fontweight="bold", color="#1a5e1a")
    digits = range(len(table))
    axes.set_xticks(digits)
    axes.set_yticks(digits)
    axes.set(xlabel="classified as", ylabel="is", title="Confusion matrix")
    axes.set_xticks(np.arange(-0.5, len(table)), minor=True)
    axes.set_yticks(np.arange(-0.5, len(table)), minor=True)
    axes.grid(which="minor", color="#dddddd", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    return figure


def reliability_diagram(bins: Tensor, calibration_error: float) -> Figure:
    """Draws the accuracy of each bin of confidence, and how many images are in it.

    Args:
        bins: float64 (number of bins, 3): images, mean confidence and accuracy.
        calibration_error: the expected calibration error, for the title.
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
