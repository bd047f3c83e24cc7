"""The digit's ink, cut out of the picture in detail."""

import math

import numpy as np
from PIL import Image
from scipy import ndimage

from digits.prediction.groups import EIGHT, Mask
from digits.prediction.ink import ink_of, noise_of, white_of
from digits.prediction.locating import Candidate
from digits.prediction.planes import Plane, resized

DETAIL = 100
"""Pixels of the digit's longer side that are enough: five for each of the 20 that are wanted."""
_NO_INK, _FULL_INK = 0.15, 0.85
"""Of the usual ink of the digit: below is ground, above is full ink; in between are the edges."""
_SMALL = 28
"""Pixels of a digit's longer side up to which every grey is an edge's, as in MNIST's images, and is
kept; of larger ones it is noise or blur."""


def draw_ink(plane: Plane, digit: Candidate) -> Plane:
    """Returns the digit's ink: 0 (ground) to 1 (full ink), with some ground around it.

    Args:
        plane: brightness, with all the detail that there is.
        digit: where the digit is; its mask may have fewer or more pixels than `plane`.
    """
    scale = max(plane.shape) / max(digit.mask.shape)
    box, side = digit.box, digit.box.side * scale
    margin = 0.15 * side + 2 * scale + 3 * digit.stroke_width * scale + 4
    top, left = (max(0, math.floor(edge * scale - margin)) for edge in (box.top, box.left))
    bottom, right = (
        min(length, math.ceil(edge * scale + margin))
        for edge, length in zip((box.bottom, box.right), plane.shape, strict=True)
    )
    shrinking = min(1.0, DETAIL / side)
    cut = resized(plane[top:bottom, left:right], shrinking, Image.Resampling.BOX)
    blur = min(2.0, noise_of(cut) / 4) * min(1.0, side / DETAIL)
    if blur > 0.25:
        cut = ndimage.gaussian_filter(cut, blur)
    limit = max(3, int((2.5 * digit.stroke_width * scale + 2) * shrinking)) | 1
    ink = ink_of(cut, digit.dark, limit, white_of(plane))
    height, width = digit.mask.shape
    part = (left / scale, top / scale, min(right / scale, width), min(bottom / scale, height))
    mask = _mask_of(digit, part, cut.shape)
    near = ndimage.binary_dilation(mask, EIGHT, max(1, round(1.5 * scale * shrinking)))
    ink = ink - (np.median(ink[~near]) if not near.all() else 0)
    usual = np.percentile(ink[mask], 75) if mask.any() else ink.max()
    steepness = min(1.0, max(0.0, (side - _SMALL) / (DETAIL - _SMALL)))
    low, high = steepness * _NO_INK, 1 - steepness * (1 - _FULL_INK)
    drawn: Plane = np.clip((ink / max(usual, 1e-3) - low) / (high - low), 0, 1) * near
    return drawn


def _mask_of(
    digit: Candidate, part: tuple[float, float, float, float], shape: tuple[int, ...]
) -> Mask:
    image = Image.fromarray(digit.mask.astype(np.float32))
    how = Image.Resampling.BILINEAR
    mask: Mask = np.asarray(image.resize((shape[1], shape[0]), how, box=part)) > 0.3
    return mask
