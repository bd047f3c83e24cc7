import numpy as np
import pytest
from scipy import ndimage

from digits.data.datasets import load_sample
from digits.predict.mnist_form import THICKEST, THINNEST, mnist_form, stroke_width

SAMPLE = load_sample("test").images[:, 0].numpy()


def ring(radius: float, width: float) -> np.ndarray:
    """A zero, anti-aliased, off the centre."""
    y, x = np.mgrid[:300, :300]
    distance = np.abs(np.hypot(y - 120, x - 160) - radius)
    ink: np.ndarray = np.clip(width / 2 + 0.5 - distance, 0, 1).astype(np.float32)
    return ink


def form(ink: np.ndarray) -> np.ndarray:
    image = mnist_form(ink)
    assert image is not None
    return image


@pytest.mark.parametrize("width", [2, 8, 16, 40])
def test_the_longer_side_is_20_pixels_and_the_mass_is_in_the_centre(width: float) -> None:
    image = form(ring(80, width))
    assert image.shape == (28, 28)
    assert image.dtype == np.uint8
    rows, columns = np.flatnonzero(image.max(1) > 40), np.flatnonzero(image.max(0) > 40)
    assert np.ptp(rows) + 1 == pytest.approx(20, abs=1)
    assert np.ptp(columns) + 1 == pytest.approx(20, abs=1)
    # As in MNIST; SciPy computes the centre.
    for centre in ndimage.center_of_mass(image.astype(float)):
        assert 13.45 <= centre <= 14.55


def test_proportions_are_kept() -> None:
    ink = np.zeros((200, 200), np.float32)
    ink[20:180, 90:106] = 1  # 160 x 16
    image = form(ink)
    assert (image.max(1) > 127).sum() == 20
    assert (image.max(0) > 127).sum() == 2


@pytest.mark.parametrize("width", [1, 2, 4, 10, 16, 30, 50])
def test_strokes_get_the_width_of_mnists(width: float) -> None:
    found = stroke_width((form(ring(80, width)) / 255).astype(np.float32))
    assert THINNEST - 0.4 < found < THICKEST + 0.4


def test_nine_in_ten_of_mnists_own_strokes_are_between_the_limits() -> None:
    widths = [stroke_width(image / np.float32(255)) for image in SAMPLE]
    share = np.mean([THINNEST <= width <= THICKEST for width in widths])
    assert share == pytest.approx(0.9, abs=0.04)


def test_mnists_own_images_stay_as_they_are() -> None:
    differences = [np.abs(form(image / np.float32(255)).astype(int) - image).mean()
                   for image in SAMPLE[:100]]  # fmt: skip
    # Of 255; those with thin or thick strokes are changed.
    assert np.median(differences) < 1
