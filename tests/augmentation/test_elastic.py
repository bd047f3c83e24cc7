import math

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch import Tensor

from digits.augmentation.affine import SIDE
from digits.augmentation.augment import sample
from digits.augmentation.elastic import displacement_std, displacements, num_points
from digits.data.sample import load_sample


def fields(num_images: int, alpha: float, sigma: float) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    points = num_points(sigma)
    noise = torch.randn(num_images, points, 2 * points, generator=generator)
    return displacements(noise, alpha, sigma)


def simards(num_images: int, alpha: float, sigma: float) -> np.ndarray:
    """The paper's own fields, (n, 28, 28): uniform noise at each pixel, smoothed by scipy."""
    margin = math.ceil(4 * sigma)
    size = SIDE + 2 * margin
    noise = np.random.default_rng(0).uniform(-1, 1, (num_images, size, size))
    smooth = scipy.ndimage.gaussian_filter(noise, (0, sigma, sigma), mode="constant")
    inner = slice(margin, margin + SIDE)
    return np.asarray(alpha * smooth[:, inner, inner])


@pytest.mark.parametrize(("alpha", "sigma"), [(34.0, 4.0), (8.0, 2.0), (60.0, 6.5)])
def test_displacements_are_as_large_as_simards(alpha: float, sigma: float) -> None:
    found, theirs = fields(2000, alpha, sigma), simards(1000, alpha, sigma)
    std = displacement_std(alpha, sigma)
    # 2,000 fields of some 20 or more independent places: the standard deviation is known to 1 %
    assert found.std(dim=(0, 1, 2)).tolist() == pytest.approx([std, std], rel=0.03)
    assert theirs.std() == pytest.approx(std, rel=0.03)
    assert found.mean(dim=(0, 1, 2)).tolist() == pytest.approx([0, 0], abs=0.05 * std)
    lengths = found.norm(dim=3)
    assert lengths.mean().item() == pytest.approx(math.sqrt(math.pi / 2) * std, rel=0.03)


def test_simards_own_values_move_a_pixel_by_1_4_of_its_width_along_each_axis() -> None:
    assert displacement_std(alpha=34, sigma=4) == pytest.approx(1.384, abs=0.001)


@pytest.mark.parametrize("sigma", [2.0, 4.0])
def test_neighbours_move_together_as_far_as_simards_do(sigma: float) -> None:
    found, theirs = fields(4000, 1.0, sigma)[..., 0].double().numpy(), simards(2000, 1.0, sigma)
    for distance in (1, 3, 6, 9):
        expected = math.exp(-(distance**2) / (4 * sigma**2))
        for field in (found, theirs):
            for pairs in (
                (field[:, :, :-distance], field[:, :, distance:]),
                (field[:, :-distance], field[:, distance:]),
            ):
                correlation = (pairs[0] * pairs[1]).mean() / (field**2).mean()
                assert correlation == pytest.approx(expected, abs=0.04)


@pytest.mark.parametrize("sigma", [1.0, 4.0, 9.3, 28.0])
def test_every_pixel_moves_as_far_as_every_other(sigma: float) -> None:
    # Each displacement is a weighted sum of the draws, so one draw at a time gives the weights.
    points = num_points(sigma)
    noise = torch.eye(2 * points**2).view(-1, points, 2 * points)
    variance = displacements(noise.double(), 1.0, sigma).square().sum(0)
    expected = torch.full_like(variance, displacement_std(1.0, sigma) ** 2)
    torch.testing.assert_close(variance, expected, rtol=0.002, atol=0)


def test_x_and_y_are_drawn_apart() -> None:
    x, y = fields(4000, 34.0, 4.0).unbind(3)
    assert (x * y).mean().item() / (x.std() * y.std()).item() == pytest.approx(0, abs=0.03)


def test_a_field_bends_an_image_as_scipys_map_coordinates_does() -> None:
    images = load_sample("train").images[:5]
    bent_by = fields(5, 34.0, 4.0)
    axis = torch.arange(SIDE) - 13.5
    straight = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=2)
    found = sample(images.float() / 255, straight + bent_by)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for image, field, result in zip(images.numpy(), bent_by.numpy(), found.numpy(), strict=True):
        places = [rows + field[..., 1], columns + field[..., 0]]
        expected = scipy.ndimage.map_coordinates(
            image[0] / 255, places, order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(result[0], expected, atol=2e-5)
