"""Many digits on one picture."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor

from digits.atomic import whole_file

DPI = 120
SIDE, GAP = 28, 2
"""Pixels of a digit along each side, and pixels between two digits."""
INCHES_PER_PIXEL = 3 / DPI
"""So that each pixel of a digit becomes a square of three by three, all of the same size."""
TITLE_LINE, HEADING_LINE = 4.5, 7.0
"""Height of a line of text, in a digit's pixels."""
MIN_COLUMNS = 5
"""A picture is at least as wide as so many digits, to hold its heading."""


def digit_grid(
    images: Tensor,
    titles: Sequence[str] | None = None,
    columns: int = 10,
    title: str = "",
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draws images row by row.

    They are put together to one picture first, since a hundred axes would take seconds.

    Args:
        images: (n, 28, 28) or (n, 1, 28, 28), uint8 or float; n above 0.
        titles: n short texts, one over each image; each may have several lines.
        columns: images in a row.
        title: what is over everything.
        limits: the values shown black and white; unless given, 0 and 255 for bytes, the least and
            the greatest for floats.
    """
    assert len(images) and images.shape[-2:] == (SIDE, SIDE)
    assert titles is None or len(titles) == len(images)
    if limits is None:
        is_bytes = images.dtype == torch.uint8
        limits = (0, 255) if is_bytes else (float(images.min()), float(images.max()))
    tiles = images.detach().cpu().reshape(-1, SIDE, SIDE).float().numpy()
    columns = min(columns, len(tiles))
    num_lines = max((text.count("\n") + 1 for text in titles or ()), default=0)
    above = GAP + round(TITLE_LINE * num_lines)  # from one row of tiles to the next
    canvas = _put_together(tiles, columns, above)

    width = max(columns, MIN_COLUMNS) * (GAP + SIDE) + GAP
    heading = textwrap.wrap(title, width=width * 3 // 10)
    top = round(HEADING_LINE * len(heading)) + (GAP if heading else 0)
    bottom = top + len(canvas)
    figure = Figure((width * INCHES_PER_PIXEL, (bottom + GAP) * INCHES_PER_PIXEL), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))  # one unit of its axes is a digit's pixel
    axes.set_axis_off()
    axes.imshow(
        canvas,
        cmap=colormaps["gray"].with_extremes(bad="white"),
        vmin=limits[0],
        vmax=limits[1],
        extent=(0, canvas.shape[1], bottom, top),
        interpolation="nearest",
        aspect="auto",
    )
    axes.set(xlim=(0, width), ylim=(bottom + GAP, 0))
    axes.text(GAP, GAP, "\n".join(heading), va="top", fontsize=9, fontweight="bold")
    for place, text in enumerate(titles or ()):
        row, column = divmod(place, columns)
        x = column * (GAP + SIDE) + GAP + SIDE / 2
        y = top + row * (above + SIDE) + above - 0.7
        axes.text(x, y, text, ha="center", va="bottom", fontsize=6.5, linespacing=1.1)
    return figure


def _put_together(
    tiles: npt.NDArray[np.float32], columns: int, above: int
) -> npt.NDArray[np.float32]:
    """Lays (n, 28, 28) out in rows, `GAP` to the left of each and `above` over it; NaN is empty."""
    num_rows = -(-len(tiles) // columns)
    filled = np.full((num_rows * columns, SIDE, SIDE), np.nan, dtype=np.float32)
    filled[: len(tiles)] = tiles
    canvas = np.full((num_rows, above + SIDE, columns, GAP + SIDE), np.nan, dtype=np.float32)
    canvas[:, above:, :, GAP:] = filled.reshape(num_rows, columns, SIDE, SIDE).swapaxes(1, 2)
    return canvas.reshape(num_rows * (above + SIDE), columns * (GAP + SIDE))


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a picture as PNG, whole or not at all."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=DPI)
