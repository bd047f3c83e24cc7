"""What a training image may be changed by, and how a batch of them is."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from digits.augmentation.affine import NUM_DRAWS, SIDE, movement, origins
from digits.augmentation.elastic import displacements, num_points
from digits.errors import DigitsError

LIMITS = {
    "shift": (0, 14),
    "rotation": (0, 180),
    "scale": (0, 0.9),
    "shear": (0, 80),
    "elastic_alpha": (0, 1000),
    "elastic_sigma": (1, 28),
}
"""The least and the greatest value of each option."""


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
        elastic_sigma: how far neighbours are bent together, in pixels.

    Raises:
        DigitsError: a value is out of its range.
    """

    shift: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    elastic_alpha: float = 0.0
    elastic_sigma: float = 4.0

    def __post_init__(self) -> None:
        """Checks the options."""
        for name, (least, greatest) in LIMITS.items():
            value, default = getattr(self, name), getattr(type(self), name)
            if not least <= value <= greatest:
                raise DigitsError(
                    f"augment.{name} must be a number in [{least}, {greatest}], got {value}; "
                    f"try augment.{name}={default:g}"
                )

    @property
    def changes_nothing(self) -> bool:
        """Whether every image stays as it is."""
        return not (self.shift or self.rotation or self.scale or self.shear or self.elastic_alpha)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Returns the images changed at random, in new memory unless nothing changes at all.

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
        """Draws where each pixel comes from: (n, 28, 28, 2), in pixels from the centre."""
        device, dtype = generator.device, torch.float32
        draws = torch.rand(num_images, NUM_DRAWS, generator=generator, device=device, dtype=dtype)
        moved = movement(2 * draws - 1, self.shift, self.rotation, self.scale, self.shear)
        if not self.elastic_alpha:
            return origins(moved)
        points = num_points(self.elastic_sigma)
        shape = (num_images, points, 2 * points)
        noise = torch.randn(shape, generator=generator, device=device, dtype=dtype)
        return origins(moved).add_(displacements(noise, self.elastic_alpha, self.elastic_sigma))


def sample(images: Tensor, positions: Tensor) -> Tensor:
    """Takes pixels from between the pixels of images, bilinearly; 0 outside of them.

    Args:
        images: (n, 1, 28, 28), floats or uint8.
        positions: (n, 28, 28, 2), in pixels from the centre, x before y; they are overwritten.
    """
    positions *= 2 / SIDE  # grid_sample's unit is half an image
    found = F.grid_sample(images.float(), positions, padding_mode="zeros", align_corners=False)
    return found.to(images.dtype) if images.is_floating_point() else found.round_().byte()
