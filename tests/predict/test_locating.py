from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from photographs import save_jpeg
from PIL import Image, ImageDraw, ImageFont

from digits.errors import DigitsError
from digits.predict.predict import prepare


def drawn(size: tuple[int, int] = (300, 400), text: str = "4") -> np.ndarray:
    """Ink from 0 to 1: a digit in Pillow's own font."""
    image = Image.new("L", size)
    font = ImageFont.load_default(size[0] // 2)
    ImageDraw.Draw(image).text((size[0] // 4, size[1] // 4), text, 255, font)
    return np.asarray(image) / 255


def alone(path: Path) -> np.ndarray:
    (digit,) = prepare(path)
    return digit.image.astype(int)


def seen(folder: Path, pixels: np.ndarray) -> np.ndarray:
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / "a.png")
    return alone(folder / "a.png")


def likeness(image: np.ndarray, other: np.ndarray) -> float:
    """Correlation, at best with one of them shifted by a pixel: the centre of mass is rounded."""
    shifted = (np.roll(other, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1))
    return max(float(np.corrcoef(image.ravel(), each.ravel())[0, 1]) for each in shifted)


@pytest.fixture
def four(tmp_path: Path) -> np.ndarray:
    return seen(tmp_path, 255 - 255 * drawn())


def test_a_clean_drawing_is_light_ink_on_black(four: np.ndarray) -> None:
    assert four[0].max() == four[:, 0].max() == 0
    assert four.max() > 250


def on_table(ink: np.ndarray) -> np.ndarray:
    scene = np.full((600, 600), 45.0)
    scene[60:460, 120:420] = 230 - 190 * ink
    return scene


SCENES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "uneven light": lambda ink: (
        np.linspace(0.4, 1, 300) * np.linspace(0.7, 1, 400)[:, None] * (230 - 190 * ink)
    ),
    "a hard shadow": lambda ink: np.where(np.arange(300) < 130, 0.55, 1) * (230 - 190 * ink),
    "a dark table": on_table,
    "ruled lines": lambda ink: np.where(np.arange(400) % 45 < 2, 200, 235)[:, None] - 190 * ink,
}


@pytest.mark.parametrize("scene", SCENES)
def test_light_table_and_lines_do_not_matter(scene: str, tmp_path: Path, four: np.ndarray) -> None:
    least = 0.9 if scene == "a hard shadow" else 0.95
    assert likeness(seen(tmp_path, SCENES[scene](drawn())), four) > least


def test_specks_far_from_the_digit_are_left_out(tmp_path: Path, four: np.ndarray) -> None:
    page = 235 - 200 * drawn()
    page[10:14, 10:14] = page[380:384, 20:25] = page[200:203, 290:293] = 20
    assert likeness(seen(tmp_path, page), four) > 0.95


def test_strokes_that_do_not_touch_are_one_digit(tmp_path: Path) -> None:
    five = drawn(text="5")
    rows = np.flatnonzero(five.any(1))
    cut = five.copy()
    cut[rows[0] + 30 : rows[0] + 34] = 0  # below the bar
    whole, apart = (seen(tmp_path, 255 - 255 * ink) for ink in (five, cut))
    assert likeness(whole, apart) > 0.85


@pytest.mark.parametrize(
    ("paper", "ink"),
    [
        ((255, 255, 255), (255, 230, 0)),
        ((60, 140, 60), (200, 60, 60)),
        ((40, 60, 200), (250, 220, 40)),
        ((255, 255, 255), (180, 30, 40)),
    ],
)
def test_coloured_ink_on_coloured_paper_is_seen(
    paper: tuple[int, ...], ink: tuple[int, ...], tmp_path: Path, four: np.ndarray
) -> None:
    share = drawn()[..., None]
    pixels = np.array(paper) * (1 - share) + np.array(ink) * share
    assert likeness(seen(tmp_path, pixels), four) > 0.95


@pytest.mark.parametrize(("mode", "colour"), [("RGBA", 0), ("LA", 128), ("RGBA", 255)])
def test_a_digit_in_the_transparency_only_is_seen(
    mode: str, colour: int, tmp_path: Path, four: np.ndarray
) -> None:
    alpha = Image.fromarray((255 * drawn()).astype(np.uint8))
    image = Image.new(mode, alpha.size, (colour,) * (len(mode) - 1) + (0,))
    image.putalpha(alpha)
    image.save(tmp_path / "a.png")
    assert likeness(alone(tmp_path / "a.png"), four) > 0.95


def test_faint_pencil_under_noise_is_not_a_blank_page(tmp_path: Path, four: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(size=(400, 300)) * 4
    assert likeness(seen(tmp_path, 225 - 22 * drawn() + noise), four) > 0.85


def test_salt_and_pepper_of_one_bit_do_not_matter(tmp_path: Path, four: np.ndarray) -> None:
    grey = Image.fromarray((240 - 240 * drawn()).astype(np.uint8))
    grey.convert("1").save(tmp_path / "a.png")  # dithered
    assert likeness(alone(tmp_path / "a.png"), four) > 0.85


BLANK: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "white": lambda rng: np.full((300, 400), 255.0),
    "black": lambda rng: np.zeros((28, 28)),
    "noisy": lambda rng: 200 + 12 * rng.normal(size=(300, 400)),
    "small and noisy": lambda rng: 200 + 12 * rng.normal(size=(60, 60)),
    "shaded": lambda rng: np.linspace(120, 240, 400)[None] * np.linspace(0.8, 1, 300)[:, None],
    "ruled": lambda rng: np.where(np.arange(300) % 30 < 2, 190, 235)[:, None] * np.ones(400),
    "at the table's edge": lambda rng: np.where(np.arange(400) < 60, 50, 230) * np.ones((300, 1)),
    "one pixel": lambda rng: np.full((1, 1), 9.0),
}


@pytest.mark.parametrize("kind", BLANK)
def test_a_blank_page_has_no_digit(kind: str, tmp_path: Path) -> None:
    save_jpeg(tmp_path / "a.jpg", BLANK[kind](np.random.default_rng(0)))
    with pytest.raises(DigitsError, match=r"^no digit found: "):
        prepare(tmp_path / "a.jpg")


@pytest.mark.parametrize("size", [(18, 24), (28, 28), (90, 120), (1500, 2000)])
def test_pictures_of_any_size_give_the_same(
    size: tuple[int, int], tmp_path: Path, four: np.ndarray
) -> None:
    page = Image.fromarray((255 - 255 * drawn()).astype(np.uint8))
    if size == (28, 28):
        page = page.crop((50, 70, 250, 270))
    page.resize(size, Image.Resampling.BOX).save(tmp_path / "a.png")
    assert likeness(alone(tmp_path / "a.png"), four) > 0.7


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize(("side", "width"), [(200, 1), (400, 2), (800, 4), (1600, 8)])
def test_a_thin_upright_stroke_is_a_digit(
    side: int, width: int, inverted: bool, tmp_path: Path
) -> None:
    pixels = np.full((side, side), 255.0)
    pixels[side // 20 : -side // 20, side // 2 : side // 2 + width] = 0
    image = seen(tmp_path, 255 - pixels if inverted else pixels)
    assert 18 <= (image.max(1) > 100).sum() <= 22
    assert 1 <= (image.max(0) > 100).sum() <= 4


@pytest.mark.parametrize("width", [1, 3, 6])
@pytest.mark.parametrize("degrees", [0, 3])
def test_a_frame_is_not_a_digit(degrees: int, width: int, tmp_path: Path, four: np.ndarray) -> None:
    page = Image.fromarray((235 - 200 * drawn()).astype(np.uint8))
    ImageDraw.Draw(page).rectangle((30, 60, 270, 300), outline=60, width=width)
    ImageDraw.Draw(page).rectangle((30, 320, 270, 370), outline=60, width=width)
    image = seen(tmp_path, np.asarray(page.rotate(degrees, fillcolor=235)))
    assert likeness(image, four) > 0.9 - 0.05 * degrees


def test_several_digits_are_found_line_by_line_from_left_to_right(tmp_path: Path) -> None:
    page = Image.new("L", (1200, 900), 240)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(200)
    for text, place in {"72": (100, 80), "10": (500, 120), "4": (300, 550)}.items():
        pen.text(place, text, 20, font)
    page.save(tmp_path / "a.png")
    digits = prepare(tmp_path / "a.png")
    for digit, text in zip(digits, "72104", strict=True):
        alone = seen(tmp_path, 255 - 255 * drawn(text=text))
        assert likeness(digit.image.astype(int), alone) > 0.85
    left, top, right, bottom = digits[-1].box
    assert pen.textbbox((300, 550), "4", font) == pytest.approx((left, top, right, bottom), abs=15)
