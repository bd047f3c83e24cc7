import math
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor

from digits.data.mnist import MNIST, read
from digits.data.statistics import CHUNK_PIXELS, pixel_mean_std


def exact_mean_std(images: Tensor) -> tuple[float, float]:
    pixels = [Fraction(value, 255) for value in images.flatten().tolist()]
    mean = sum(pixels) / len(pixels)
    return float(mean), math.sqrt(sum((pixel - mean) ** 2 for pixel in pixels) / len(pixels))


@pytest.mark.parametrize("shape", [(7, 1, 5, 3), (1, 1, 28, 28), (40, 28, 28), (11,)])
def test_statistics_are_those_of_exact_fractions(shape: tuple[int, ...]) -> None:
    images = torch.randint(0, 256, shape, generator=torch.manual_seed(0), dtype=torch.uint8)
    assert pixel_mean_std(images) == pytest.approx(exact_mean_std(images), rel=1e-15)


@pytest.mark.parametrize("value", [0, 1, 127, 255])
def test_equal_pixels_have_no_deviation_at_all(value: int) -> None:
    images = torch.full((3, 1, 28, 28), value, dtype=torch.uint8)
    assert pixel_mean_std(images) == (value / 255, 0.0)


def test_chunks_do_not_show() -> None:
    num_images = 2 * CHUNK_PIXELS // 784 + 3
    images = torch.zeros(num_images, 1, 28, 28, dtype=torch.uint8)
    images[::2] = 255
    mean = Fraction((num_images + 1) // 2, num_images)
    expected = (float(mean), math.sqrt(mean * (1 - mean)))
    assert pixel_mean_std(images) == pytest.approx(expected, rel=1e-15)


def test_an_image_larger_than_a_chunk_counts_whole() -> None:
    images = torch.zeros(2, 1, 1, CHUNK_PIXELS + 1, dtype=torch.uint8)
    images[1] = 255
    assert pixel_mean_std(images) == (0.5, 0.5)


def test_indices_choose_images() -> None:
    images = torch.randint(0, 256, (300, 1, 28, 28), dtype=torch.uint8)
    indices = torch.randperm(300)[:201]
    assert pixel_mean_std(images, indices) == pixel_mean_std(images[indices])


def test_images_need_not_be_contiguous() -> None:
    images = torch.randint(0, 256, (28, 28, 1, 50), dtype=torch.uint8).permute(3, 2, 0, 1)
    assert pixel_mean_std(images) == pixel_mean_std(images.contiguous())


@pytest.mark.parametrize("images", [torch.zeros(2, 3), torch.zeros(0, 28, 28, dtype=torch.uint8)])
def test_what_has_no_statistics_is_refused(images: Tensor) -> None:
    with pytest.raises(ValueError, match="images"):
        pixel_mean_std(images)


def test_statistics_of_mnist_are_the_known_ones(real_data: Path) -> None:
    images = read(real_data, "train", MNIST).images
    known = (0.13066047627384286, 0.3081078038564627)
    assert pixel_mean_std(images) == pytest.approx(known, abs=1e-13)
