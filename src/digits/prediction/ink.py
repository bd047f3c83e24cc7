"""How much darker or lighter than its ground each pixel is, under uneven light and at edges."""

import numpy as np
from scipy import ndimage

from digits.prediction.planes import Plane

_LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_BLACK_SHARE = 0.4
"""Of a picture's white: ground that is darker than this counts as this dark, lest the noise of a
dark table be taken for ink."""


def ink_of(plane: Plane, dark: bool, stroke_limit: int, white: float) -> Plane:
    """Returns how far each pixel stands out from the ground, 0 to 255.

    The ground is what a square of `stroke_limit` pixels fits into (grey-scale closing for dark ink,
    opening for light ink: Serra, "Image analysis and mathematical morphology", 1982). So thin
    strokes stand out, and shadows, gradients and the edges of paper and table do not. Dark ink is
    taken relative to its ground: half the light on the paper is half the light on the ink.

    Args:
        plane: brightness.
        dark: whether the ink is darker than the ground.
        stroke_limit: what is wider than this, in pixels, is no stroke.
        white: what `white_of` says of the whole picture.
    """
    size = (stroke_limit, stroke_limit)
    if not dark:
        light: Plane = plane - ndimage.grey_opening(plane, size)
        return light
    ground = ndimage.grey_closing(plane, size)
    ink: Plane = 255 * (ground - plane) / np.maximum(ground, _BLACK_SHARE * white)
    return ink


def white_of(plane: Plane) -> float:
    """Returns the brightness of a picture's bright parts, at least 1."""
    return max(float(np.percentile(plane, 95)), 1.0)


def noise_of(plane: Plane) -> float:
    """Estimates the standard deviation of the pixel noise.

    After Immerkaer, "Fast noise variance estimation", CVIU 1996, with the median for the mean, so
    that the strokes do not count.
    """
    if min(plane.shape) < 3:
        return 0.0
    return 1.4826 * float(np.median(np.abs(ndimage.convolve(plane, _LAPLACIAN)))) / 6
