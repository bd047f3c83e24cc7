"""Elastic distortion: smooth random fields that bend an image like rubber."""

import math

import torch
from torch import Tensor

from digits.augmentation.affine import SIDE

REACH = 3.0
"""Standard deviations of the smoothing that noise around the image still counts from."""


def displacement_std(alpha: float, sigma: float) -> float:
    """Returns the standard deviation of the displacement along each axis, in pixels.

    Noise uniform in [-1, 1] has the variance 1/3; smoothing by a Gaussian of standard deviation
    sigma leaves 1 / (4 pi sigma^2) of it. The mean length of a displacement is sqrt(pi / 2) = 1.25
    times as much, as it is for any two independent normal numbers.
    """
    return alpha / (2 * sigma * math.sqrt(3 * math.pi))


def num_points(sigma: float) -> int:
    """Returns the number of lattice points along each axis; an image takes 2 draws for each."""
    return math.ceil((SIDE - 1) / sigma + 2 * REACH) + 1


def displacements(noise: Tensor, alpha: float, sigma: float) -> Tensor:
    """Makes smooth random displacement fields, (n, 28, 28, 2) in pixels, x before y.

    Simard, Steinkraus & Platt, "Best practices for convolutional neural networks applied to visual
    document analysis", ICDAR 2003, section 2: uniform noise at each pixel is smoothed by a Gaussian
    (sigma) and multiplied by alpha. Departures, for speed: the noise is normal, which the smoothed
    one nearly is in any case, and it lies on a lattice of spacing sigma that reaches beyond the
    image. The fields have the same standard deviation and the same correlation over a distance
    d, exp(-d^2 / (4 sigma^2)), to a thousandth: Gaussians one standard deviation apart add up to
    a constant but for a ripple of 2 exp(-pi^2) (Poisson's summation formula).

    Args:
        noise: standard normal numbers, (n, points, 2 * points) with the points of `num_points`.
        alpha: strength, in pixels.
        sigma: how far neighbours move together, in pixels.
    """
    points = num_points(sigma)
    lattice = (torch.arange(points, device=noise.device) - (points - 1) / 2) * sigma
    pixels = torch.arange(SIDE, device=noise.device) - (SIDE - 1) / 2
    bumps = torch.exp(-(((pixels[:, None] - lattice) / sigma) ** 2) / 2).to(noise.dtype)
    # The squares of such bumps add up to sqrt(pi) at each pixel, in each of the two directions.
    bumps *= math.sqrt(displacement_std(alpha, sigma)) / math.pi**0.25
    # Along each row first, for x and y alternately; then along each column.
    both = torch.kron(bumps.T.contiguous(), torch.eye(2, dtype=noise.dtype, device=noise.device))
    rows = noise @ both
    return (bumps.expand(len(rows), -1, -1) @ rows).view(-1, SIDE, SIDE, 2)
