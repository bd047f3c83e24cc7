"""Any picture file as grey levels, in one of which the ink stands out from the ground.

A file may be damaged, enormous, or made to do harm: it is refused in one line.
"""

import io
import stat
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from digits.errors import DigitsError

Plane = NDArray[np.float32]
"""Brightness of each pixel, shape (height, width), about 0 to 255."""

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
MAX_BYTES = 100_000_000
SIDE = 1000
"""Pixels of the longer side that are enough: a digit of a tenth of it has 100."""

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
COLOURFUL = 20
"""The least difference between channels, of 255, that makes a picture a coloured one."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as grey levels.

    Attributes:
        grey: its luminance.
        colours: red, green and blue; empty if it has no colours to speak of.
        alpha: how opaque it is; `None` if it is opaque everywhere.
    """

    grey: Plane
    colours: tuple[Plane, ...] = ()
    alpha: Plane | None = None


def read(path: Path) -> Picture:
    """Read a picture, upright, with at most `SIDE` pixels a side.

    The content says what format it is, not the name. Its size is checked in the header, before
    anything is decoded (`Image.MAX_IMAGE_PIXELS`).

    Raises:
        DigitsError: there is no such file, or it is not a picture, damaged or too large.
    """
    content = _content(path)
    with warnings.catch_warnings():
        # What else Pillow warns of (EXIF, palettes) does no harm.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                return to_grey_levels(_decoded(image))
        except UnidentifiedImageError as error:
            raise DigitsError(_not_a_picture(content)) from error
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            limit = Image.MAX_IMAGE_PIXELS
            raise DigitsError(f"has more than {limit:,} pixels, the limit") from error
        except MemoryError as error:
            raise DigitsError("does not fit into memory; try a smaller picture") from error
        except Exception as error:  # of damaged files, Pillow's readers raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DigitsError(f"is damaged and cannot be decoded: {reason}") from error


def _content(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DigitsError("is not a file")
        if not status.st_size:
            raise DigitsError("is empty")
        if status.st_size > MAX_BYTES:
            raise DigitsError(f"has {status.st_size:,} bytes; the limit is {MAX_BYTES:,}")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise DigitsError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _not_a_picture(content: bytes) -> str:
    if content[4:8] == b"ftyp":  # what phones write
        return "is a HEIC or AVIF picture, or a video; save it as JPEG or PNG"
    return f"is not a picture, or a damaged one; try one of {', '.join(FORMATS)}"


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
    """Take an image of mode RGB, RGBA, I;16, I or F apart."""
    pixels = np.asarray(image, np.float32)
    if image.mode not in ("RGB", "RGBA"):
        values = np.clip(np.nan_to_num(pixels, posinf=0, neginf=0), -1e30, 1e30)  # sums are finite
        return Picture(_to_range_of_bytes(shrunk(values, SIDE)))
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
    """Return the plane with at most `side` pixels a side, averaged over areas."""
    factor = side / max(plane.shape)
    return plane if factor >= 1 else resized(plane, factor, Image.Resampling.BOX)


def resized(plane: Plane, factor: float, resampling: Image.Resampling) -> Plane:
    """Return the plane `factor` times as high and as wide."""
    height, width = (max(1, round(side * factor)) for side in plane.shape)
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(image.resize((width, height), resampling), np.float32)
