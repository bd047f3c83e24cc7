"""Ink: how much darker or lighter than its ground each pixel is; and printed frames, taken out."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from digits.predict.reading import Plane

Mask = NDArray[np.bool_]

THRESHOLD_STEP = 0.55
MAX_COMPONENTS = 3000
TOUCHING_AT_CORNERS = np.ones((3, 3), np.int8)


def ink_of(plane: Plane, dark: bool, stroke_limit: int, white: float) -> Plane:
    """Return how far each pixel stands out from the ground, 0 to 255.

    The ground is what a square of `stroke_limit` pixels fits into (grey-scale closing for dark ink,
    opening for light ink: Serra, "Image analysis and mathematical morphology", 1982). So thin
    strokes stand out, and shadows, gradients and the edges of paper and table do not. Dark ink is
    taken relative to its ground: half the light on the paper is half the light on the ink. `white`
    is the brightness of the whole picture's bright parts, see `white_of`.
    """
    ground = ground_of(plane, dark, stroke_limit)
    if not dark:
        return plane - ground
    # The floor keeps the noise of a dark table from being taken for ink.
    ink: Plane = 255 * (ground - plane) / ground.clip(min=0.4 * white)
    return ink


def ground_of(plane: Plane, dark: bool, stroke_limit: int) -> Plane:
    """Return the plane without strokes that are darker, or lighter, than what is around them."""
    filled = ndimage.grey_closing if dark else ndimage.grey_opening
    return np.asarray(filled(plane, (stroke_limit, stroke_limit)), np.float32)


def white_of(plane: Plane) -> float:
    """Return the brightness of a picture's bright parts, at least 1."""
    return max(float(np.percentile(plane[::2, ::2], 95)), 1.0)


def noise_of(plane: Plane) -> float:
    """Estimate the standard deviation of the pixel noise.

    After Immerkaer, "Fast noise variance estimation", CVIU 1996, with the median for the mean, so
    that the strokes do not count.
    """
    if min(plane.shape) < 3:
        return 0.0
    laplacian = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    return 1.4826 * float(np.median(np.abs(ndimage.convolve(plane, laplacian)))) / 6


def levels(plane: Plane, dark: bool, limit: int) -> tuple[Plane, float, list[float]]:
    """Return the ink, its noise, and the thresholds that are tried, falling."""
    ink = ink_of(plane, dark, limit, white_of(plane))
    quarter, half = np.percentile(ink[::2, ::2], (25, 50))
    ink, noise = ink - quarter, float(half - quarter) / 0.6745
    highest = float(ink.max())
    # Where the digit fills the picture, much that is ink is counted as noise here.
    lowest = max(min(4 * noise, 0.35 * highest), 1.0)
    count = max(0, math.ceil(math.log(lowest / (0.75 * highest), THRESHOLD_STEP))) if highest else 0
    return ink, noise, [0.75 * highest * THRESHOLD_STEP**step for step in range(count)]


# Printed frames, as a form's boxes are, painted over before digits are looked for.

MAX_WIDTH = 0.08
"""Of a frame's lines, as a share of the picture's longer side."""
MIN_CELL = 12
"""Pixels of the shorter side of a frame's inside."""


def unframed(plane: Plane, dark: bool) -> Plane:
    """Return the plane with frames that are darker or lighter than the ground painted over.

    Frames are what lies around cells, if there is writing in one of the cells at least.
    """
    limit = max(3, int(MAX_WIDTH * max(plane.shape))) | 1
    ink, _, thresholds = levels(plane, dark, limit)
    frames, written = np.zeros(plane.shape, bool), False
    for threshold in thresholds:
        strokes = ink > threshold
        inside, near = np.zeros_like(strokes), np.zeros_like(strokes)
        for rows, columns, ground in _cells(~strokes):
            down, right = (max(4, depth) for depth in _depths(*ground.shape))
            inner = np.zeros_like(ground)
            inner[down:-down, right:-right] = ~ground[down:-down, right:-right]
            least = min(ground.shape) / 3  # nothing in a digit's hole is as large
            places = ndimage.find_objects(ndimage.label(inner, TOUCHING_AT_CORNERS)[0])
            written |= any(max(part.stop - part.start for part in place) > least
                           for place in places)  # fmt: skip
            # What reaches far into a cell is a digit, even where it touches the frame.
            inside[rows, columns] |= ground | _meeting(~ground, inner)
            near[max(0, rows.start - down) : rows.stop + down,
                 max(0, columns.start - right) : columns.stop + right] = True  # fmt: skip
        if near.any():
            outline = ndimage.binary_dilation(inside, TOUCHING_AT_CORNERS)
            frames |= _meeting(strokes & near & ~inside, outline)
    if not written:
        return plane
    frames = ndimage.binary_dilation(frames, TOUCHING_AT_CORNERS)
    return np.where(frames, ground_of(plane, dark, limit), plane)


def _cells(ground: Mask) -> Iterator[tuple[slice, slice, Mask]]:
    """Yield the rows, columns and pixels of each rectangle of ground that strokes enclose.

    It may be turned by 4 degrees or more, and a digit in it may touch its sides.
    """
    labels, count = ndimage.label(ground)
    if count >= MAX_COMPONENTS:
        return
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        at_border = 0 in (rows.start, columns.start) or rows.stop == len(ground)
        if min(height, width) < MIN_CELL or at_border or columns.stop == len(ground[0]):
            continue
        cell = labels[rows, columns] == number
        down, right = _depths(height, width)
        sides = (cell[:down].any(0), cell[-down:].any(0), cell[:, :right].any(1),
                 cell[:, -right:].any(1))  # fmt: skip
        if min(float(side.mean()) for side in sides) > 0.75:  # an ellipse has 0.66
            yield rows, columns, cell


def _depths(height: int, width: int) -> tuple[int, int]:
    """Return how far a cell's horizontal sides, and its vertical ones, may reach into its box."""
    return (
        max(height // 8, min(width // 14, height // 3)),
        max(width // 8, min(height // 14, width // 3)),
    )


def _meeting(mask: Mask, other: Mask) -> Mask:
    """Return the connected parts of a mask that have pixels in another one."""
    labels, count = ndimage.label(mask, TOUCHING_AT_CORNERS)
    chosen = np.zeros(count + 1, bool)
    chosen[labels[mask & other]] = True
    parts: Mask = chosen[labels]
    return parts
