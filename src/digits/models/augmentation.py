"""Training images that are moved and bent a little at random, a whole batch at a time.

Positions are in pixels from the image's centre, x to the right and y downwards. A position grid is
(n, 28, 28, 2), x before y, as `grid_sample` wants it.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from digits.data.datasets import SIDE

REACH = 3.0
"""Standard deviations of the smoothing that noise around the image still counts from."""


@dataclass(frozen=True)
class Augmentation:
    """Random movement and elastic distortion, drawn for each image by itself; never a flip.

    The digits stay on a black ground: what comes from outside the image is 0.

    Args:
        shift: largest shift along each axis, in pixels.
        rotation: largest rotation, in degrees.
        scale: largest change of size, as a share: 0.1 for 0.9 to 1.1 times.
        shear: largest lean to either side, in degrees.
        elastic_alpha: strength of the elastic distortion, in pixels; see `displacements`.
        elastic_sigma: how far neighbours are bent together, in pixels, at least 1.
    """

    shift: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    elastic_alpha: float = 0.0
    elastic_sigma: float = 4.0

    @property
    def changes_nothing(self) -> bool:
        """Whether every image stays as it is."""
        return not (self.shift or self.rotation or self.scale or self.shear or self.elastic_alpha)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the images changed at random, in new memory unless nothing changes at all.

        Args:
            images: (n, 1, 28, 28), floats in [0, 1] or uint8 from 0 to 255, before normalization.
            generator: what every draw comes from, on the images' device; the same state gives the
                same images.

        Returns:
            Images of the same shape and type.
        """
        if self.changes_nothing:
            return images
        # bf16, which autocast would compute positions in, knows them to a tenth of a pixel only.
        with torch.autocast(images.device.type, enabled=False):
            return sample(images, self._positions(len(images), generator))

    def _positions(self, num_images: int, generator: torch.Generator) -> Tensor:
        device, dtype = generator.device, torch.float32
        draws = torch.rand(num_images, 5, generator=generator, device=device, dtype=dtype)
        turn, grow, lean, right, down = (2 * draws - 1).unbind(1)
        found = origins(
            Movement(
                rotation=self.rotation * turn,
                scale=1 + self.scale * grow,
                shear=self.shear * lean,
                shift_x=self.shift * right,
                shift_y=self.shift * down,
            )
        )
        if not self.elastic_alpha:
            return found
        points = num_points(self.elastic_sigma)
        shape = (num_images, points, 2 * points)
        noise = torch.randn(shape, generator=generator, device=device, dtype=dtype)
        return found.add_(displacements(noise, self.elastic_alpha, self.elastic_sigma))


def sample(images: Tensor, positions: Tensor) -> Tensor:
    """Take pixels from between the pixels of images, bilinearly; 0 outside of them.

    Args:
        images: (n, 1, 28, 28), floats or uint8.
        positions: (n, 28, 28, 2), in pixels from the centre, x before y; they are overwritten.
    """
    positions *= 2 / SIDE  # grid_sample's unit is half an image
    found = F.grid_sample(images.float(), positions, padding_mode="zeros", align_corners=False)
    return found.to(images.dtype) if images.is_floating_point() else found.round_().byte()


class Movement(NamedTuple):
    """How n images are moved: scaled, then sheared, rotated, and shifted; each value is (n,)."""

    rotation: Tensor
    """In degrees, counterclockwise."""
    scale: Tensor
    """Factor on the digit's size, above 0."""
    shear: Tensor
    """In degrees: how far an upright stroke leans to the right."""
    shift_x: Tensor
    """In pixels, to the right."""
    shift_y: Tensor
    """In pixels, downwards."""


def origins(moved: Movement) -> Tensor:
    """Return where each pixel of the moved images is taken from: positions (n, 28, 28, 2).

    That is the inverse of the movement, as torchvision's `affine` composes it; only its rotation
    is the other way round.
    """
    turn, lean = moved.rotation * (math.pi / 180), moved.shear * (math.pi / 180)
    cos, sin, tan = turn.cos(), turn.sin(), lean.tan()
    # The movement of a position, with y downwards: Rotation @ Shear @ scale, where
    # Rotation = [[cos, sin], [-sin, cos]] and Shear = [[1, -tan], [0, 1]]; here is its inverse.
    x_of_x, x_of_y = (cos + tan * sin) / moved.scale, (tan * cos - sin) / moved.scale
    y_of_x, y_of_y = sin / moved.scale, cos / moved.scale
    x_of_1 = -(x_of_x * moved.shift_x + x_of_y * moved.shift_y)
    y_of_1 = -(y_of_x * moved.shift_x + y_of_y * moved.shift_y)
    rows = torch.stack([x_of_x, x_of_y, x_of_1, y_of_x, y_of_y, y_of_1], dim=1)
    # One matrix product writes x and y alternately, faster than `F.affine_grid`.
    axis = torch.arange(SIDE, dtype=rows.dtype, device=rows.device) - (SIDE - 1) / 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    interleaved = rows.new_zeros(6, SIDE * SIDE, 2)
    interleaved[:3, :, 0] = interleaved[3:, :, 1] = torch.stack(
        [x.flatten(), y.flatten(), torch.ones_like(x).flatten()]
    )
    return (rows @ interleaved.view(6, -1)).view(-1, SIDE, SIDE, 2)


def displacement_std(alpha: float, sigma: float) -> float:
    """Return the standard deviation of the displacement along each axis, in pixels.

    Noise uniform in [-1, 1] has the variance 1/3; smoothing by a Gaussian of standard deviation
    sigma leaves 1 / (4 pi sigma^2) of it. The mean length of a displacement is sqrt(pi / 2) = 1.25
    times as much, as it is for any two independent normal numbers.
    """
    return alpha / (2 * sigma * math.sqrt(3 * math.pi))


def num_points(sigma: float) -> int:
    """Return the number of lattice points along each axis; an image takes 2 draws for each."""
    return math.ceil((SIDE - 1) / sigma + 2 * REACH) + 1


def displacements(noise: Tensor, alpha: float, sigma: float) -> Tensor:
    """Make smooth random displacement fields, (n, 28, 28, 2) in pixels, x before y.

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
