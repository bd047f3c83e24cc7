"""How often each pixel value occurs."""

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor

from digits.figures.colours import COLOURS


def draw_pixel_histogram(counts: Mapping[str, Tensor]) -> Figure:
    """Draws the share of each pixel value in each split, on a logarithmic scale.

    Args:
        counts: of each split, by its name: int64 (256,), the number of pixels of each value.
    """
    figure = Figure(figsize=(7.5, 3.8), layout="constrained")
    axes = figure.subplots()
    edges = torch.arange(257) - 0.5
    for place, (name, numbers) in enumerate(counts.items()):
        shares = 100 * numbers / numbers.sum()
        # Lines that nearly coincide are told apart as long as one of them is an area.
        area = place == 0
        axes.stairs(
            shares.tolist(),
            edges.tolist(),
            fill=area,
            alpha=0.4 if area else 1,
            linewidth=0 if area else 0.9,
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
    axes.grid(alpha=0.3)
    axes.legend(loc="upper center", ncols=3)
    return figure
