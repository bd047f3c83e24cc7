"""Ink as MNIST has it: in a box of 20 x 20, centred by its mass, in strokes of MNIST's width."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from digits.predict.reading import Plane, resized

SIDE, BOX = 28, 20
DETAIL = 100
"""Pixels of the box in which strokes are made thicker or thinner."""
EDGE = 0.2
"""The least ink of a pixel that belongs to the box."""
THINNEST, THICKEST = 1.7, 3.6
"""Mean width of strokes in pixels: between them are nine in ten of MNIST's training images."""


def mnist_form(ink: Plane) -> NDArray[np.uint8] | None:
    """Bring ink to the form of MNIST's images.

    The digit's box is scaled to 20 x 20 with its proportions kept, and the centre of mass is put at
    the centre of 28 x 28 by whole pixels (LeCun et al., "The MNIST database"). Where the strokes
    are thinner or thicker than most of MNIST's, they are made as thick or thin as those before.

    Args:
        ink: 0 (ground) to 1 (full ink), any shape.

    Returns:
        Bytes of shape (28, 28), light ink on a dark ground, or `None` if there is no ink.
    """
    boxed = _in_box(ink, BOX)
    for _ in range(2):
        if boxed is None:
            return None
        width = stroke_width(boxed)
        wanted = min(max(width, THINNEST), THICKEST)
        # Of each side of a stroke; thinner strokes make the digit smaller, so that scaling it to
        # the box makes them thicker again.
        excess = (width - wanted) / 2 / (1 - wanted / BOX) * DETAIL / BOX
        if abs(excess) < 0.4:
            break
        detailed = _in_box(ink, DETAIL)
        assert detailed is not None
        change = ndimage.grey_erosion if excess > 0 else ndimage.grey_dilation
        reach = math.ceil(abs(excess))
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        disk = y * y + x * x <= excess * excess + 0.5
        ink = change(np.pad(detailed, reach + 1), footprint=disk)
        boxed = _in_box(ink, BOX)
    return None if boxed is None else _centred(boxed)


def stroke_width(ink: Plane) -> float:
    """Return the mean width of strokes, in pixels: twice the area over the contour's length."""
    padded = np.pad(ink, 1)
    vertical, horizontal = np.diff(padded, axis=0)[:, :-1], np.diff(padded, axis=1)[:-1]
    return 2 * float(ink.sum()) / max(float(np.hypot(vertical, horizontal).sum()), 1e-6)


def _in_box(ink: Plane, side: int) -> Plane | None:
    """Return the ink's box, enlarged or reduced so that its longer side has `side` pixels."""
    rows, columns = (np.flatnonzero((ink > EDGE).any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    factor = side / max(cut.shape)
    resampling = Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.BOX
    return resized(cut, factor, resampling).clip(0, 1)


def _centred(boxed: Plane) -> NDArray[np.uint8]:
    image = np.zeros((SIDE, SIDE), np.float32)
    place = []
    for centre, length in zip(ndimage.center_of_mass(boxed), boxed.shape, strict=True):
        # In MNIST the centre of mass is in [13.5, 14.5), counted from the first pixel's centre.
        # That of a symmetric digit may be 13.5: rounding errors must not decide.
        start = min(max(math.ceil(13.5 - centre - 1e-4), 0), SIDE - length)
        place.append(slice(start, start + length))
    image[place[0], place[1]] = boxed
    return (image * 255).round().astype(np.uint8)
