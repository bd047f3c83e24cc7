"""Photos of handwritten digits, made from MNIST's images."""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from digits.data.datasets import LabelledImages
from digits.model_file import TrainedClassifier

Floats = NDArray[np.floating]

KINDS = ("paper", "table", "ruled", "shadow", "coloured", "screen")


class Trained(NamedTuple):
    """A network, images that it has not seen, and the share of photos that it must get right."""

    model: TrainedClassifier
    test: LabelledImages
    least_accuracy: float


def photo(folder: Path, digit: NDArray[np.uint8], number: int, kind: str = "issue") -> Path:
    """Writes a photo of a digit, bytes (28, 28), as JPEG; the number draws all that is random."""
    rng = np.random.default_rng(number)
    path = folder / f"{kind}-{number}.jpg"
    pixels = _issue(digit, rng) if kind == "issue" else _on_paper(digit, rng, kind)
    noise = rng.normal(size=pixels.shape) * rng.uniform(2, 12)
    save_jpeg(path, pixels + noise, int(rng.integers(60, 95)))
    return path


COLOURS = {"black": (20, 20, 20), "blue": (40, 70, 190), "grey": (150, 150, 150)}


def in_boxes(
    folder: Path, digit: NDArray[np.uint8], number: int, num_boxes: int, colour: str
) -> Path:
    """Writes a scan of a form: printed boxes, side by side or apart, one with a digit in it."""
    rng = np.random.default_rng(number)
    side = {1: 240, 3: 100, 5: 66}[num_boxes]
    gap = int(rng.integers(0, 2)) * 8
    top, width = int(rng.integers(20, 120)), 1 + number % 6
    image = Image.new("RGB", (400, 400), (int(rng.integers(215, 250)),) * 3)
    lefts = [20 + each * (side + gap) for each in range(num_boxes)]
    for left in lefts:
        box = (left, top, left + side, top + side)
        ImageDraw.Draw(image).rectangle(box, outline=COLOURS[colour], width=width)
    ink = Image.fromarray(digit).resize((int(0.85 * side),) * 2, Image.Resampling.BICUBIC)
    left = lefts[int(rng.integers(num_boxes))]
    image.paste((30, 35, 90), (left + side // 12, top + side // 12), ink)
    pixels = np.asarray(image, float)
    light = _light((400, 400), rng)[..., None]
    path = folder / f"{num_boxes}-{colour}-{number}.jpg"
    save_jpeg(path, pixels * light + rng.normal(size=pixels.shape) * rng.uniform(0, 6))
    return path


def save_jpeg(path: Path, pixels: Floats, quality: int = 90) -> None:
    """Writes pixels, shape (height, width) or (height, width, 3)."""
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    image.save(path, "JPEG", quality=quality)


def as_bytes(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """A picture as the content of a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _issue(digit: NDArray[np.uint8], rng: np.random.Generator) -> Floats:
    """Dark on light, 150 to 600 pixels, uneven grey ground, rotated a little, not in the centre."""
    side = int(rng.integers(150, 601))
    ink = _placed(digit, (side, side), rng.uniform(0.55, 0.95), rng, degrees=10)
    return _light((side, side), rng) * (rng.uniform(160, 240) * (1 - ink) + 40 * ink)


def _on_paper(digit: NDArray[np.uint8], rng: np.random.Generator, kind: str) -> Floats:
    shape = (int(rng.integers(350, 700)), int(rng.integers(350, 700)))
    ink = _placed(digit, shape, rng.uniform(0.25, 0.45), rng, degrees=8)
    y, x = np.mgrid[: shape[0], : shape[1]]
    paper = np.full(shape, rng.uniform(200, 245))
    if kind == "ruled":
        distance = (y + 0.03 * x) % rng.uniform(25, 60)
        paper = np.where(distance < 1.5, paper - rng.uniform(20, 45), paper)
    if kind == "table":
        edges = rng.uniform(15, 50, size=4)
        on_paper = (x > edges[0] + 0.05 * y) & (y > edges[1] + 0.04 * x)
        on_paper &= (x < shape[1] - edges[2]) & (y < shape[0] - edges[3])
        paper = np.where(on_paper, paper, rng.uniform(30, 90))
    light = _light(shape, rng)
    if kind == "shadow":
        light = light * np.where(x + y > sum(shape) * rng.uniform(0.3, 0.7), 1, 0.6)
    if kind == "screen":
        return 20 + 210 * ink
    if kind == "coloured":
        colour = np.array([(250, 220, 40), (220, 70, 60), (80, 200, 120)][rng.integers(3)])
        white = paper[..., None] * np.ones(3)
        coloured: Floats = (white * (1 - ink[..., None]) + colour * ink[..., None]) * light[
            ..., None
        ]
        return coloured
    return light * (paper * (1 - ink) + 35 * ink)


def _light(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Brighter on one side, and darker towards the corners; at most 1."""
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    slope = (x * np.cos(angle) + y * np.sin(angle)) / 1.5
    light: Floats = 1 - rng.uniform(0.05, 0.17) * (1 + slope) - 0.05 * (x * x + y * y)
    return light


def _placed(
    digit: NDArray[np.uint8],
    shape: tuple[int, int],
    share: float,
    rng: np.random.Generator,
    degrees: float,
) -> Floats:
    """A digit's image enlarged, rotated and pasted somewhere: ink from 0 to 1."""
    side = int(share * min(shape))
    image = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    image = image.rotate(rng.uniform(-degrees, degrees), Image.Resampling.BICUBIC)
    ink = np.zeros(shape)
    top, left = (int(rng.integers(0, length - side + 1)) for length in shape)
    if share < 0.5:  # away from the table
        top, left = (int(rng.uniform(0.15, 0.45) * length) for length in shape)
    ink[top : top + side, left : left + side] = np.asarray(image) / 255
    return ink
