import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from digits.errors import DigitsError
from digits.prediction import reading
from digits.prediction.reading import read
from prediction.photographs import as_bytes

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


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of which nothing but the header is true."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"0")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in content
    )


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_every_format_is_read_by_its_content_whatever_its_name(form: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(as_bytes(SEVEN, form))
    pixels = np.asarray(read(path).convert("L"), int)
    assert np.abs(pixels - np.asarray(SEVEN)).mean() < 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode_is_read(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    if mode == "I;16":
        path.write_bytes(as_bytes(Image.fromarray(np.asarray(SEVEN, np.uint16) * 257), "PNG"))
    else:
        form = "TIFF" if mode in ("CMYK", "I", "F") else "PNG"
        path.write_bytes(as_bytes(SEVEN.convert(mode), form))
    assert read(path).size == SEVEN.size


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
    assert (np.asarray(read(path).convert("L")) == np.asarray(SEVEN)).all()


def test_a_large_photo_is_made_small_and_keeps_its_proportions(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (4000, 3000), "white").save(path)
    assert read(path).size == (reading.SIDE, reading.SIDE * 3 // 4)


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (10_000, 8_001), (9_500, 9_500)])
def test_a_decompression_bomb_is_refused_without_being_decoded(
    width: int, height: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    assert "80,000,000" in message(tmp_path / "a.png", png(width, height))


def test_a_bomb_in_a_text_chunk_is_refused(tmp_path: Path) -> None:
    bomb = (b"zTXt", b"a\0\0" + zlib.compress(b"0" * 50_000_000))
    assert "too large" in message(tmp_path / "a.png", png(10, 10, bomb))


def test_a_file_of_too_many_bytes_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        file.truncate(reading.MAX_BYTES + 1)  # takes no room on the disk
    with pytest.raises(DigitsError, match="100,000,001 bytes; the limit is 100,000,000"):
        read(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"These are my digits.", "is no picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is no picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no picture"),
        (b"\x89PNG\r\n\x1a\n", "is no picture"),
        (png(0, 5), "is no picture"),
        (png(50, 50), "is damaged"),
    ],
)
def test_what_is_no_picture_is_told_in_one_line(
    content: bytes, expected: str, tmp_path: Path
) -> None:
    assert expected in message(tmp_path / "a.png", content)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_cut_file_is_told_in_one_line(
    form: str, share: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 60), np.uint8)
    options = {"compression": "tiff_lzw"} if form == "TIFF" else {}
    content = as_bytes(Image.fromarray(noise), form, **options)
    message(tmp_path / "a", content[: int(share * len(content))])
    assert capfd.readouterr().err == ""  # libtiff would write there by itself


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_flipped_bytes_never_raise_anything_else(form: str, tmp_path: Path) -> None:
    content = as_bytes(SEVEN, form)
    rng = np.random.default_rng(0)
    path = tmp_path / "a"
    for _ in range(60):
        damaged = bytearray(content)
        for place in rng.integers(0, min(len(content), 400), 3):
            damaged[place] = int(rng.integers(0, 256))
        path.write_bytes(damaged)
        with suppress(DigitsError):
            read(path)


def test_a_folder_a_pipe_and_nothing_at_all_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, expected in (
        (tmp_path, "is no file"),
        (tmp_path / "pipe", "is no file"),
        (tmp_path / "none.png", "No such file"),
    ):
        with pytest.raises(DigitsError, match=expected):
            read(path)
