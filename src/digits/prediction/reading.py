"""A picture file as pixels, read with care: it may be damaged, enormous, or made to do harm."""

import io
import os
import stat
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from digits.errors import DigitsError

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
MAX_BYTES = 100_000_000
MAX_PIXELS = 80_000_000
"""Some phones take 64 megapixels; 80 of four bytes each are 320 MB of memory."""
SIDE = 1000
"""Pixels of the longer side that are enough: a digit of a tenth of it has 100."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PHONE_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif")


def read(path: Path) -> Image.Image:
    """Reads a picture, upright, and no larger than `SIDE` unless its pixels have more than 8 bits.

    The content says what format it is, not the name. The size is checked in the header, before
    anything is decoded.

    Returns:
        Mode RGB, RGBA, or one of 16 or 32 bits (I;16, I, F).

    Raises:
        DigitsError: there is no such file, it is no picture, is damaged, or is too large.
    """
    content = _content(path)
    with warnings.catch_warnings():
        # What Pillow warns of (sizes, EXIF, palettes) is either checked here or does no harm.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                return _decoded(image)
        except DigitsError:
            raise
        except UnidentifiedImageError as error:
            raise DigitsError(_no_picture(content)) from error
        except Image.DecompressionBombError as error:
            raise DigitsError(f"has more than {MAX_PIXELS:,} pixels, the limit") from error
        except MemoryError as error:
            raise DigitsError("does not fit into memory; try a smaller picture") from error
        except Exception as error:  # of damaged files, readers raise what they stumble over
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DigitsError(f"is damaged and cannot be decoded: {reason}") from error


def _content(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DigitsError("is no file")
        if not status.st_size:
            raise DigitsError("is empty")
        if status.st_size > MAX_BYTES:
            raise DigitsError(f"has {status.st_size:,} bytes; the limit is {MAX_BYTES:,}")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise DigitsError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _no_picture(content: bytes) -> str:
    if content[4:8] == b"ftyp" and content[8:12] in _PHONE_BRANDS:
        return "is a HEIC or AVIF picture, which is not read; save it as JPEG or PNG"
    return f"is no picture, or a damaged one; read are {', '.join(FORMATS)}"


def _decoded(image: Image.Image) -> Image.Image:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DigitsError(
            f"has {width:,} x {height:,} pixels, more than the limit of {MAX_PIXELS:,}"
        )
    if image.format in ("JPEG", "MPO"):
        # A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, in as much less time and memory.
        image.draft(None, (SIDE, SIDE))
    with _no_chatter() if image.format == "TIFF" else nullcontext():
        image.load()
    picture = image
    if not image.mode.startswith(("I", "F")):
        picture = image.convert("RGBA" if image.has_transparency_data else "RGB")
        picture.thumbnail((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    turn = _turn(image)
    return picture if turn is None else picture.transpose(turn)


@contextmanager
def _no_chatter() -> Iterator[None]:
    """Keeps what libtiff, which is C, writes of a damaged file off the process's stderr."""
    sys.stderr.flush()
    stderr = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How the camera was held, by EXIF."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF data are no reason to refuse the picture
        return None
