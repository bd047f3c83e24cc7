"""Any picture, prepared for classification."""

import io
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from made_up import examples, or_refused
from PIL import Image

from digits.predict.predict import prepare

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F")
FORMS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
SIDES = st.integers(1, 40)


@st.composite
def grounds(draw: st.DrawFn) -> np.ndarray:
    """Grey values: noise, or a few rectangles and strokes on an even ground."""
    shape = draw(SIDES), draw(SIDES)
    if draw(st.booleans()):
        return np.asarray(draw(st_numpy.arrays(np.uint8, shape)))
    pixels = np.full(shape, draw(st.integers(0, 255)), np.uint8)
    for _ in range(draw(st.integers(0, 4))):
        top, left = draw(st.integers(0, 39)), draw(st.integers(0, 39))
        height, width = draw(SIDES), draw(SIDES)
        pixels[top : top + height, left : left + width] = draw(st.integers(0, 255))
    return pixels


def picture(grey: np.ndarray, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray((grey.astype(np.float32) - 100) * 1e30)
    return Image.fromarray(grey).convert(mode)


def check(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    image = or_refused(prepare, path)
    if image is None:
        return
    assert image.shape == (28, 28) and image.dtype == np.uint8
    assert image.any()


@given(grounds(), st.sampled_from(MODES))
@examples(100)
def test_any_pixels_give_an_image_or_a_refusal(tmp_path: Path, grey: np.ndarray, mode: str) -> None:
    content = io.BytesIO()
    form = "TIFF" if mode in ("CMYK", "YCbCr", "I", "F") else "PNG"
    picture(grey, mode).save(content, form)
    check(tmp_path / "picture.png", content.getvalue())


@given(st_numpy.arrays(np.float32, st.tuples(SIDES, SIDES), elements=st.floats(width=32)))
@examples(40)
def test_any_floats_do_too_even_those_that_are_no_numbers(
    tmp_path: Path, values: np.ndarray
) -> None:
    content = io.BytesIO()
    Image.fromarray(values).save(content, "TIFF")
    check(tmp_path / "picture.tif", content.getvalue())


@given(
    grounds(),
    st.sampled_from(FORMS),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4),
    st.integers(0, 3000),
)
@examples(100)
def test_any_damaged_file_does_too(
    tmp_path: Path, grey: np.ndarray, form: str, flips: list[tuple[int, int]], keep: int
) -> None:
    file = io.BytesIO()
    Image.fromarray(grey).save(file, form)
    content = bytearray(file.getvalue())
    for place, value in flips:
        content[place % len(content)] = value
    check(tmp_path / "picture", bytes(content[: max(keep, 1)]))


@given(
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"BM", b"II*\0"]),
    st.binary(),
)
@examples(100)
def test_any_bytes_do_too(tmp_path: Path, start: bytes, rest: bytes) -> None:
    check(tmp_path / "picture", start + rest)
