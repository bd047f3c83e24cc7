"""How often each digit occurs."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from torch import Tensor

from digits.figures.colours import COLOURS


def draw_class_balance(counts: Mapping[str, Tensor]) -> Figure:
    """Draws the share of each digit in each split as bars.

    Args:
        counts: of each split, by its name: int64 (10,), the number of images of each digit.
    """
    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(counts)
    for place, (name, numbers) in enumerate(counts.items()):
        left = -0.4 + (place + 0.5) * width
        axes.bar(
            [digit + left for digit in range(len(numbers))],
            (100 * numbers / numbers.sum()).tolist(),
            width,
            color=COLOURS[place],
            label=f"{name} ({int(numbers.sum()):,})",
        )
    axes.axhline(10, color="grey", linewidth=0.8, linestyle="--", label="a tenth")
    axes.set(xlabel="digit", ylabel="share of the images (%)", title="Class balance")
    axes.set_xticks(range(10))
    axes.margins(x=0.02, y=0.05)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure
