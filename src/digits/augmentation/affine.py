"""Shift, rotation, scale and shear: where each pixel of a moved image comes from.

Positions are in pixels from the image's centre, x to the right and y downwards. A position grid is
(n, 28, 28, 2), x before y, as `grid_sample` wants it.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

SIDE = 28
NUM_DRAWS = 5
"""Random numbers that an image takes: see `Movement`."""


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


def movement(draws: Tensor, shift: float, rotation: float, scale: float, shear: float) -> Movement:
    """Makes movements of draws (n, 5) in [-1, 1]: each is the greatest allowed times its draw."""
    turn, grow, lean, right, down = draws.unbind(1)
    return Movement(rotation * turn, 1 + scale * grow, shear * lean, shift * right, shift * down)


def origins(moved: Movement) -> Tensor:
    """Returns where each pixel of the moved images is taken from: positions (n, 28, 28, 2).

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
    # One matrix product writes x and y alternately.
    interleaved = rows.new_zeros(6, SIDE * SIDE, 2)
    interleaved[:3, :, 0] = interleaved[3:, :, 1] = _homogeneous(rows)
    return (rows @ interleaved.view(6, -1)).view(-1, SIDE, SIDE, 2)


def _homogeneous(like: Tensor) -> Tensor:
    """Returns x, y and 1 of each pixel, (3, 784), in type and place of `like`."""
    axis = torch.arange(SIDE, dtype=like.dtype, device=like.device) - (SIDE - 1) / 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x.flatten(), y.flatten(), torch.ones_like(x).flatten()])
