"""Pixels to what a network receives."""

import torch
from torch import Tensor


def normalize(images: Tensor, mean: float, std: float, out: Tensor | None = None) -> Tensor:
    """Brings pixels to [0, 1], subtracts `mean` and divides by `std`.

    The arithmetic is that of torchvision's `ToTensor` and `Normalize`, so that the result is the
    same to the last bit.

    Args:
        images: uint8 from 0 to 255, or floats in [0, 1]; any shape.
        mean: in units of the [0, 1] scale.
        std: in units of the [0, 1] scale, above 0.
        out: floats of the same shape, which are overwritten and returned; `None` for new memory.
    """
    out = torch.empty_like(images, dtype=torch.float32) if out is None else out
    out.copy_(images)  # converting first is faster than dividing bytes
    if not images.is_floating_point():
        out.div_(255)
    return out.sub_(mean).div_(std)
