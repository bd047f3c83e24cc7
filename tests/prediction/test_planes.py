import numpy as np
import pytest
from PIL import Image

from digits.prediction.planes import Planes, planes_of, shrunk

INK = np.zeros((40, 30), np.uint8)
INK[10:30, 13:17] = 255


def planes(pixels: np.ndarray) -> Planes:
    return planes_of(Image.fromarray(pixels))


def test_grey_is_what_pillow_makes_of_colours() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    found = planes(pixels)
    expected = np.asarray(Image.fromarray(pixels).convert("L"), float)
    assert np.abs(found.grey - expected).max() < 1
    assert [plane.shape for plane in found.colours] == [(20, 30)] * 3


def test_a_picture_without_colours_has_no_colour_planes() -> None:
    assert planes(np.dstack([INK] * 3)).colours == ()


@pytest.mark.parametrize("colour", [0, 255, 128])
def test_a_digit_that_is_in_the_transparency_only_is_in_the_alpha_plane(colour: int) -> None:
    found = planes(np.dstack([np.full((40, 30, 3), colour, np.uint8), INK]))
    assert found.alpha is not None
    assert (found.alpha == INK).all()
    assert np.ptp(found.grey) < 1


def test_an_opaque_picture_has_no_alpha_plane() -> None:
    assert planes(np.dstack([INK, INK, INK, np.full_like(INK, 255)])).alpha is None


def test_what_is_transparent_around_a_page_gets_the_pages_colour() -> None:
    alpha = np.zeros_like(INK)
    alpha[4:36, 4:26] = 255
    page = (230 - INK * 0.8).astype(np.uint8)
    found = planes(np.dstack([page, page, page, alpha]))
    assert np.abs(found.grey[0] - 230).max() < 1
    assert found.grey[20, 15] < 30


@pytest.mark.parametrize("factor", [1, 16, 257])
def test_sixteen_bits_are_spread_to_the_range_of_bytes(factor: int) -> None:
    pixels = 100 + INK.astype(np.uint16) * factor // 2
    found = planes(pixels).grey
    assert found.min() == 0
    assert found.max() == 255
    assert (found[INK > 0] == 255).all()


def test_floats_that_are_no_numbers_are_no_ink() -> None:
    pixels = INK.astype(np.float32)
    pixels[0, 0], pixels[0, 1] = np.nan, np.inf
    assert np.isfinite(planes(pixels).grey).all()
    assert (planes(np.full((9, 9), 7, np.float32)).grey == 0).all()


def test_shrinking_keeps_the_mean_and_the_proportions() -> None:
    plane = np.random.default_rng(0).uniform(0, 255, (400, 200)).astype(np.float32)
    assert shrunk(plane, 100).shape == (100, 50)
    assert shrunk(plane, 100).mean() == pytest.approx(plane.mean(), rel=1e-3)
    assert shrunk(plane, 400) is plane


@pytest.mark.parametrize(("low", "high"), [(0, 1e-45), (-3e38, 3e38), (0.25, 0.75)])
def test_floats_however_small_or_large_are_spread_over_the_range_of_bytes(
    low: float, high: float
) -> None:
    found = planes(np.where(INK > 0, high, low).astype(np.float32)).grey
    assert (found == INK).all()
