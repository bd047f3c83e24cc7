"""Exact statistics against exact rational numbers."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from made_up import examples

from digits.data import statistics
from digits.data.statistics import pixel_mean_std

IMAGES = st_numpy.arrays(np.uint8, st_numpy.array_shapes(min_dims=1, max_dims=3, max_side=9))


def exact(pixels: list[int]) -> tuple[Fraction, Fraction]:
    """Mean and variance, by their definitions."""
    scaled = [Fraction(pixel, 255) for pixel in pixels]
    mean = sum(scaled, Fraction()) / len(scaled)
    return mean, sum(((pixel - mean) ** 2 for pixel in scaled), Fraction()) / len(scaled)


def check(found: tuple[float, float], pixels: list[int]) -> None:
    mean, variance = exact(pixels)
    assert found[0] == float(mean)  # the correctly rounded one
    assert all(0 <= each <= 1 for each in found)
    low, high = math.nextafter(found[1], -math.inf), math.nextafter(found[1], math.inf)
    assert found[1] == 0 if not variance else Fraction(low) ** 2 < variance < Fraction(high) ** 2


@given(IMAGES)
@examples(200)
def test_mean_and_deviation_are_the_exact_ones_rounded(images: np.ndarray) -> None:
    check(pixel_mean_std(torch.from_numpy(images)), images.flatten().tolist())


@given(IMAGES, st.data(), st.integers(1, 20))
@examples(200)
def test_of_chosen_images_in_chunks_of_any_size_too(
    images: np.ndarray, data: st.DataObject, chunk: int
) -> None:
    indices = data.draw(st.lists(st.integers(0, len(images) - 1), min_size=1, max_size=12))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "CHUNK_PIXELS", chunk)
        found = pixel_mean_std(torch.from_numpy(images), torch.tensor(indices))
    check(found, images[indices].flatten().tolist())
