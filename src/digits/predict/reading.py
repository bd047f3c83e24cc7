"""Any picture file as grey levels, in one of which the ink stands out from the ground.

A file may be damaged, enormous, or made to do harm: it is refused in one line.
"""

import io
import sys
import warnings
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from digits.errors import DigitsError

Plane = NDArray[np.float32]
"""Brightness of each pixel, shape (height, width), about 0 to 255."""

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
SIDE = 1000
"""Pixels of the longer side that are enough: a digit of a tenth of it has 100."""

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
COLOURFUL = 20
"""The least difference between channels, of 255, that makes a picture a coloured one."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as grey levels."""

    grey: Plane  # its luminance
    colours: tuple[Plane, ...] = ()  # red, green and blue, if there are colours to speak of
    alpha: Plane | None = None  # how opaque it is, unless it is opaque everywhere
    scale: float = 1.0  # pixels of the file for one of the planes


def read(path: Path | None) -> Picture:
    """Read a picture, upright, with at most `SIDE` pixels a side; `None` is standard input.

    The content says what format it is, not the name. Its size is checked in the header, before
    anything is decoded (`Image.MAX_IMAGE_PIXELS`).

    Raises:
        DigitsError: there is no such file, or it is not a picture, damaged or too large.
    """
    try:
        content = sys.stdin.buffer.read() if path is None else path.read_bytes()
    except OSError as error:
        raise DigitsError(f"cannot be read: {error.strerror}") from error
    if not content:
        raise DigitsError("is empty")
    with warnings.catch_warnings():
        # What else Pillow warns of (EXIF, palettes) does no harm.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.format == "GIF" and getattr(image, "n_frames", 1) > 1:
                    raise DigitsError("is animated; save one of its pictures as PNG")
                longer = max(image.size)  # before a JPEG is decoded at a smaller size
                picture = to_grey_levels(_decoded(image))
                return replace(picture, scale=longer / max(picture.grey.shape))
        except DigitsError:
            raise
        except UnidentifiedImageError as error:
            message = f"is not a picture, or a damaged one; try one of {', '.join(FORMATS)}"
            if content[4:8] == b"ftyp":  # what phones write
                message = "is a HEIC or AVIF picture, or a video; save it as JPEG or PNG"
            raise DigitsError(message) from error
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            limit = Image.MAX_IMAGE_PIXELS
            raise DigitsError(f"has more than {limit:,} pixels, the limit") from error
        except Exception as error:  # of damaged files, Pillow's readers raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DigitsError(f"is damaged and cannot be decoded: {reason}") from error


def _decoded(image: Image.Image) -> Image.Image:
    """Return mode RGB, RGBA, or one of 16 or 32 bits (I;16, I, F)."""
    if image.format in ("JPEG", "MPO"):
        # A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, in as much less time and memory.
        image.draft(None, (SIDE, SIDE))
    image.load()
    with suppress(Exception):  # a photo is not refused because of damaged EXIF data
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith(("I", "F")):
        return image
    picture = image.convert("RGBA" if image.has_transparency_data else "RGB")
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    return picture


def to_grey_levels(image: Image.Image) -> Picture:
    """Take apart an image of mode RGB, RGBA, I;16, I or F."""
    pixels = np.asarray(image, np.float32)
    if image.mode not in ("RGB", "RGBA"):
        return Picture(_to_range_of_bytes(shrunk(np.nan_to_num(pixels), SIDE)))
    alpha = None
    if image.mode == "RGBA" and pixels[..., 3].min() < 255:
        alpha = np.ascontiguousarray(pixels[..., 3])
        pixels = _laid_on_paper(pixels[..., :3], alpha)
    pixels = pixels[..., :3]
    few_rows = pixels[:: max(1, len(pixels) // 100)]
    has_colours = np.percentile(np.ptp(few_rows, axis=2), 99.5) > COLOURFUL
    colours = tuple(np.ascontiguousarray(pixels[..., channel]) for channel in range(3))
    return Picture(pixels @ LUMINANCE, colours if has_colours else (), alpha)


def _laid_on_paper(pixels: Plane, alpha: Plane) -> Plane:
    """Fill what is transparent with the colour at its rim, so that no edge arises there."""
    opaque = alpha >= 128
    rim = opaque & ~ndimage.binary_erosion(opaque, iterations=2, border_value=1)
    paper = np.median(pixels[rim], axis=0) if rim.any() else np.float32(255)
    share = alpha[..., None] / 255
    laid: Plane = (pixels * share + paper * (1 - share)).astype(np.float32)
    return laid


def _to_range_of_bytes(values: Plane) -> Plane:
    """Spread the values, but for a thousandth at either end, to 0 to 255.

    A camera may use 12 of 16 bits, a scanner only middle greys.
    """
    low, high = np.percentile(values, (0.1, 99.9))
    if high <= low:
        low, high = values.min(), values.max()
    spread: Plane = ((values - low) / max(high - low, 1e-6) * 255).clip(0, 255).astype(np.float32)
    return spread


def shrunk(plane: Plane, side: int) -> Plane:
    """Return the plane with at most `side` pixels a side, averaged over areas."""
    factor = side / max(plane.shape)
    return plane if factor >= 1 else resized(plane, factor, Image.Resampling.BOX)


def resized(plane: Plane, factor: float, resampling: Image.Resampling) -> Plane:
    """Return the plane `factor` times as high and as wide."""
    height, width = (max(1, round(side * factor)) for side in plane.shape)
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(image.resize((width, height), resampling), np.float32)
