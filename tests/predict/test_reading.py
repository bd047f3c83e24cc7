import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from photographs import as_bytes
from PIL import Image, ImageFile

from digits.errors import DigitsError
from digits.predict import reading
from digits.predict.reading import Picture, read, to_grey_levels

SEVEN = Image.fromarray(
    np.pad(np.full((6, 9), 30, np.uint8), ((4, 30), (5, 10)), constant_values=220)
)
"""Unlike itself in whatever way it is turned."""


def message(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(DigitsError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def png(width: int, height: int) -> bytes:
    """Return a PNG whose header claims a size that its content has not."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = [(b"IHDR", header), (b"IDAT", zlib.compress(b"0")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in content
    )


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_every_format_is_read_by_its_content_whatever_its_name(form: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(as_bytes(SEVEN, form))
    assert np.abs(read(path).grey - np.asarray(SEVEN)).mean() < 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode_is_read(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    if mode == "I;16":
        path.write_bytes(as_bytes(Image.fromarray(np.asarray(SEVEN, np.uint16) * 257), "PNG"))
    else:
        form = "TIFF" if mode in ("CMYK", "I", "F") else "PNG"
        path.write_bytes(as_bytes(SEVEN.convert(mode), form))
    assert read(path).grey.shape == SEVEN.size[::-1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_upright_however_the_camera_was_held(orientation: int, tmp_path: Path) -> None:
    # How the sensor sees the scene (EXIF 2.32, tag 274): where its first row and column lie.
    pixels = np.asarray(SEVEN)
    held = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.T,
        6: pixels.T[::-1],
        7: pixels[::-1, ::-1].T,
        8: pixels.T[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.png"
    path.write_bytes(as_bytes(Image.fromarray(np.ascontiguousarray(held)), "PNG", exif=exif))
    assert np.abs(read(path).grey - np.asarray(SEVEN)).max() < 0.1


def test_a_large_photo_is_made_small_and_keeps_its_proportions(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (4000, 3000), "white").save(path)
    assert read(path).grey.shape == (reading.SIDE * 3 // 4, reading.SIDE)


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (10_000, 8_950)])
def test_a_decompression_bomb_is_refused_without_being_decoded(
    width: int, height: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    assert "89,478,485" in message(tmp_path / "a.png", png(width, height))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"These are my digits.", "is not a picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (png(50, 50), "is damaged"),
    ],
)
def test_what_is_not_a_picture_is_refused_in_one_line(
    content: bytes, expected: str, tmp_path: Path
) -> None:
    assert expected in message(tmp_path / "a.png", content)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_a_cut_file_is_refused_in_one_line(form: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 60), np.uint8)
    options = {"compression": "tiff_lzw"} if form == "TIFF" else {}
    content = as_bytes(Image.fromarray(noise), form, **options)
    message(tmp_path / "a", content[: len(content) // 2])


def test_an_animation_is_not_taken_for_its_first_picture(tmp_path: Path) -> None:
    content = as_bytes(SEVEN, "GIF", save_all=True, append_images=[SEVEN.rotate(90)])
    assert message(tmp_path / "a.gif", content).startswith("is animated")


INK = np.zeros((40, 30), np.uint8)
INK[10:30, 13:17] = 255


def grey_levels(pixels: np.ndarray) -> Picture:
    return to_grey_levels(Image.fromarray(pixels))


def test_grey_is_what_pillow_makes_of_colours() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    found = grey_levels(pixels)
    expected = np.asarray(Image.fromarray(pixels).convert("L"), float)
    assert np.abs(found.grey - expected).max() < 1
    assert [plane.shape for plane in found.colours] == [(20, 30)] * 3
    assert grey_levels(np.dstack([INK] * 3)).colours == ()


@pytest.mark.parametrize("colour", [0, 255, 128])
def test_a_digit_that_is_in_the_transparency_only_is_in_alpha(colour: int) -> None:
    found = grey_levels(np.dstack([np.full((40, 30, 3), colour, np.uint8), INK]))
    assert found.alpha is not None
    assert (found.alpha == INK).all()
    assert np.ptp(found.grey) < 1


def test_what_is_transparent_around_a_page_gets_the_pages_colour() -> None:
    alpha = np.zeros_like(INK)
    alpha[4:36, 4:26] = 255
    page = (230 - INK * 0.8).astype(np.uint8)
    found = grey_levels(np.dstack([page, page, page, alpha]))
    assert np.abs(found.grey[0] - 230).max() < 1
    assert found.grey[20, 15] < 30
    assert grey_levels(np.dstack([page, page, page, np.full_like(INK, 255)])).alpha is None


@pytest.mark.parametrize("factor", [1, 16, 257])
def test_sixteen_bits_are_spread_to_the_range_of_bytes(factor: int) -> None:
    found = grey_levels(100 + INK.astype(np.uint16) * factor // 2).grey
    assert (found == INK).all()


def test_floats_are_spread_over_the_range_of_bytes() -> None:
    floats = np.where(INK > 0, 0.75, 0.25).astype(np.float32)
    assert (grey_levels(floats).grey == INK).all()
    assert (grey_levels(np.full((9, 9), 7, np.float32)).grey == 0).all()
