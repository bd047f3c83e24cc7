"""A picture as grey planes, in one of which the ink stands out from the ground."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from digits.prediction.reading import SIDE

Plane = NDArray[np.float32]
"""Brightness of each pixel, shape (height, width), about 0 to 255."""

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_OPAQUE = 128
_COLOURFUL = 20
"""Difference between the channels, of 255, from which on a picture has colours."""


@dataclass(frozen=True, eq=False)
class Planes:
    """Grey pictures of the same picture.

    Attributes:
        grey: its luminance.
        colours: red, green and blue; none if it has no colours to speak of.
        alpha: how opaque it is; `None` if it is so everywhere.
    """

    grey: Plane
    colours: tuple[Plane, ...] = ()
    alpha: Plane | None = None


def planes_of(picture: Image.Image) -> Planes:
    """Takes a picture apart.

    Args:
        picture: mode RGB, RGBA, I;16, I or F, as `reading.read` returns it.
    """
    if picture.mode not in ("RGB", "RGBA"):
        values = np.nan_to_num(np.asarray(picture, np.float32), posinf=0, neginf=0)
        # No sum of such values overflows.
        return Planes(_to_bytes_range(shrunk(np.clip(values, -1e30, 1e30), SIDE)))
    pixels = np.asarray(picture, np.float32)
    if picture.mode == "RGB":
        return _of_colours(pixels)
    alpha = pixels[..., 3]
    if alpha.min() == 255:
        return _of_colours(pixels[..., :3])
    return _of_colours(_laid_on_paper(pixels[..., :3], alpha), np.ascontiguousarray(alpha))


def _of_colours(pixels: Plane, alpha: Plane | None = None) -> Planes:
    few = pixels[:: max(1, len(pixels) // 100)]
    colourful = np.percentile(np.ptp(few, axis=2), 99.5) > _COLOURFUL
    colours = tuple(np.ascontiguousarray(pixels[..., i]) for i in range(3)) if colourful else ()
    return Planes(pixels @ _LUMINANCE, colours, alpha)


def _laid_on_paper(pixels: Plane, alpha: Plane) -> Plane:
    """Fills what is transparent with the colour at its rim, so that no edge arises there."""
    opaque = alpha >= _OPAQUE
    rim = opaque & ~ndimage.binary_erosion(opaque, iterations=2, border_value=1)
    paper = np.median(pixels[rim], axis=0) if rim.any() else np.float32(255)
    share = alpha[..., None] / 255
    laid: Plane = (pixels * share + paper * (1 - share)).astype(np.float32)
    return laid


def _to_bytes_range(values: Plane) -> Plane:
    """Spreads the values that occur, but for a thousandth at either end, to 0 to 255.

    A camera's 12 bits in a file of 16, or a scanner's middle greys, are as good as the full range.
    """
    exact = values.astype(np.float64)  # the difference of any two floats of 32 bits is above 0
    low, high = np.percentile(exact, (0.1, 99.9))
    if high <= low:
        low, high = float(exact.min()), float(exact.max())
    if high <= low:
        return np.zeros_like(values)
    spread: Plane = np.clip((exact - low) / (high - low) * 255, 0, 255).astype(np.float32)
    return spread


def shrunk(plane: Plane, side: int) -> Plane:
    """Returns the plane with at most `side` pixels a side, averaged over areas."""
    factor = side / max(plane.shape)
    return plane if factor >= 1 else resized(plane, factor, Image.Resampling.BOX)


def resized(plane: Plane, factor: float, how: Image.Resampling) -> Plane:
    """Returns the plane `factor` times as high and as wide."""
    height, width = (max(1, round(side * factor)) for side in plane.shape)
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32)).resize((width, height), how)
    return np.asarray(image, np.float32)
