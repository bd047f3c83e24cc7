"""Ink: how much darker or lighter than its ground each pixel is."""

import math

import numpy as np
from scipy import ndimage

from digits.predict.reading import Plane

THRESHOLD_STEP = 0.55


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
