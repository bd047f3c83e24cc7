"""Training images that are moved and bent a little at random, a whole batch at a time.

Positions are in pixels from the image's centre, x to the right and y downwards. A position grid is
(n, 28, 28, 2), x before y, as `grid_sample` wants it.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from digits.data.datasets import SIDE

REACH = 3.0
"""Standard deviations of the smoothing that noise around the image still counts from."""


@dataclass(frozen=True)
class Augmentation:
    """Random movement and elastic distortion, drawn for each image separately; never a flip.

    What comes from outside an image is 0, the black ground.

    Args:
        shift: largest shift along each axis, in pixels.
        rotation: largest rotation, in degrees.
        scale: largest change of size, as a share: 0.1 for 0.9 to 1.1 times.
        shear: largest lean to either side, in degrees.
        elastic_alpha: strength of the elastic distortion, in pixels; see `displacements`.
        elastic_sigma: how far neighbours are bent together, in pixels, at least 1.
        erase: probability of a black rectangle, see `rectangles`.
    """

    shift: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    elastic_alpha: float = 0.0
    elastic_sigma: float = 4.0
    erase: float = 0.0

    @property
    def changes_nothing(self) -> bool:
        return not (self._moves or self.erase)

    @property
    def _moves(self) -> bool:
        return bool(self.shift or self.rotation or self.scale or self.shear or self.elastic_alpha)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (n, 1, 28, 28), floats or uint8, changed by draws of `generator` alone."""
        # bf16, which autocast would compute positions in, knows them to a tenth of a pixel only.
        with torch.autocast(images.device.type, enabled=False):
            if self._moves:
                images = sample(images, self._positions(len(images), generator))
            if self.erase:
                draws = torch.rand(len(images), 5, generator=generator, device=generator.device)
                images = images.masked_fill(rectangles(draws, self.erase), 0)
            return images

    def _positions(self, num_images: int, generator: torch.Generator) -> Tensor:
        device, dtype = generator.device, torch.float32
        draws = torch.rand(num_images, 5, generator=generator, device=device, dtype=dtype)
        turn, grow, lean, right, down = (2 * draws - 1).unbind(1)
        found = origins(
            rotation=self.rotation * turn,
            scale=1 + self.scale * grow,
            shear=self.shear * lean,
            shift_x=self.shift * right,
            shift_y=self.shift * down,
        )
        if not self.elastic_alpha:
            return found
        points = num_points(self.elastic_sigma)
        shape = (num_images, points, 2 * points)
        noise = torch.randn(shape, generator=generator, device=device, dtype=dtype)
        return found.add_(displacements(noise, self.elastic_alpha, self.elastic_sigma))


def rectangles(draws: Tensor, probability: float) -> Tensor:
    """Return where images are erased: bool (n, 1, 28, 28), a rectangle or nothing in each.

    Zhong et al., "Random erasing data augmentation", AAAI 2020, with torchvision's sizes: from 0.02
    to 0.33 of the image, height over width from 0.3 to 3.3 with a uniform logarithm. Departure:
    sides are cut to the image's, where torchvision draws again. `draws` are uniform, (n, 5).
    """
    whether, size, form, down, right = draws.view(-1, 5, 1).unbind(1)
    area = SIDE**2 * (0.02 + (0.33 - 0.02) * size)
    ratio = torch.exp(math.log(0.3) + (math.log(3.3) - math.log(0.3)) * form)
    axis = torch.arange(SIDE, device=draws.device)

    def stretch(length: Tensor, place: Tensor) -> Tensor:
        length = length.round().clamp(1, SIDE)
        first = (place * (SIDE - length + 1)).floor()
        return (first <= axis) & (axis < first + length)

    rows, columns = stretch((area * ratio).sqrt(), down), stretch((area / ratio).sqrt(), right)
    rows &= whether < probability
    return (rows[:, :, None] & columns[:, None, :]).unsqueeze(1)


def sample(images: Tensor, positions: Tensor) -> Tensor:
    """Take pixels from between those of images, bilinearly; `positions` are overwritten."""
    positions *= 2 / SIDE  # grid_sample's unit is half an image
    found = F.grid_sample(images.float(), positions, padding_mode="zeros", align_corners=False)
    return found.to(images.dtype) if images.is_floating_point() else found.round_().byte()


def origins(
    rotation: Tensor, scale: Tensor, shear: Tensor, shift_x: Tensor, shift_y: Tensor
) -> Tensor:
    """Return where each pixel of moved images is taken from: positions (n, 28, 28, 2).

    An image is scaled, then sheared, rotated and shifted; this is the inverse. It is composed as by
    torchvision's `affine`, but for the direction of the rotation: counterclockwise, in degrees. All
    arguments are (n,); shear is how many degrees an upright stroke leans to the right.
    """
    turn, tan = rotation.deg2rad(), shear.deg2rad().tan()
    cos, sin = turn.cos(), turn.sin()
    # The movement of a position, with y downwards: Rotation @ Shear @ scale, where
    # Rotation = [[cos, sin], [-sin, cos]] and Shear = [[1, -tan], [0, 1]]; here is its inverse.
    x_of_x, x_of_y = (cos + tan * sin) / scale, (tan * cos - sin) / scale
    y_of_x, y_of_y = sin / scale, cos / scale
    x_of_1 = -(x_of_x * shift_x + x_of_y * shift_y)
    y_of_1 = -(y_of_x * shift_x + y_of_y * shift_y)
    columns = torch.stack([x_of_x, y_of_x, x_of_y, y_of_y, x_of_1, y_of_1], dim=1)
    axis = torch.arange(SIDE, dtype=columns.dtype, device=columns.device) - (SIDE - 1) / 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    pixels = torch.stack([x, y, torch.ones_like(x)]).view(3, -1)
    # One matrix product for all images writes x and y alternately. `F.affine_grid` takes 5 to 17
    # times as long on a CPU thread (64 to 1,024 images), which is longer than the sampling.
    return (columns @ _for_x_and_y(pixels)).view(-1, SIDE, SIDE, 2)


def _for_x_and_y(matrix: Tensor) -> Tensor:
    return torch.kron(matrix, torch.eye(2, dtype=matrix.dtype, device=matrix.device))


def displacement_std(alpha: float, sigma: float) -> float:
    """Return the standard deviation of the displacement along each axis, in pixels."""
    # Noise uniform in [-1, 1] has the variance 1/3; smoothing by a Gaussian of standard deviation
    # sigma leaves 1 / (4 pi sigma^2) of it.
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

    `noise` is standard normal, (n, points, 2 * points) with the points of `num_points`.
    """
    points = num_points(sigma)
    lattice = (torch.arange(points, device=noise.device) - (points - 1) / 2) * sigma
    pixels = torch.arange(SIDE, device=noise.device) - (SIDE - 1) / 2
    bumps = torch.exp(-(((pixels[:, None] - lattice) / sigma) ** 2) / 2).to(noise.dtype)
    # The squares of such bumps add up to sqrt(pi) at each pixel, in each of the two directions.
    bumps *= math.sqrt(displacement_std(alpha, sigma)) / math.pi**0.25
    # Along each row first, for x and y alternately; then along each column.
    rows = noise @ _for_x_and_y(bumps.T.contiguous())
    return (bumps.expand(len(rows), -1, -1) @ rows).view(-1, SIDE, SIDE, 2)
