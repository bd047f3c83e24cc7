"""Which training images are set aside for validation, and how pixels are normalized."""

import hashlib
import math
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from digits.errors import DigitsError


def stratified_split(
    labels: Tensor, size: int, seed: int, option: str = "data.val_size", minimum: int = 0
) -> tuple[Tensor, Tensor]:
    """Set exactly `size` images aside, each class in the proportion that it has in `labels`.

    Class quotas are rounded by largest remainder (Hamilton's method), ties to the lower label.
    The draw is the same on every machine and with every version: it uses `np.random.RandomState`,
    whose stream NumPy has frozen (NEP 19), whereas torch's and `np.random.Generator`'s may change.

    Args:
        labels: int64 labels of all n images, shape `(n,)`.
        size: Number of validation images, in [minimum, n - 1].
        seed: Seed of the draw, in [0, 2**32 - 1].
        option: What the size is called on the command line.
        minimum: The smallest size.

    Returns:
        Indices of the training images and of the validation images: int64, ascending, disjoint,
        together 0 to n - 1.

    Raises:
        DigitsError: If `size` or `seed` is out of its range.
    """
    num_images = len(labels)
    if not minimum <= size < num_images:
        raise DigitsError(
            f"{option} must be an integer in [{minimum}, {num_images - 1}], because there are "
            f"{num_images} training images, got {size}; "
            f"try {option}={max(1, num_images // 12)}"
        )
    if not 0 <= seed < 2**32:
        raise DigitsError(f"the seed of the split must be in [0, {2**32 - 1}], got {seed}; try 0")
    _, classes, counts = np.unique(labels.cpu().numpy(), return_inverse=True, return_counts=True)
    # Integers only, so that no rounding of floats can move an image from one machine to the next.
    quotas, remainders = np.divmod(counts.astype(np.int64) * size, num_images)
    largest_first = np.argsort(-remainders, kind="stable")
    quotas[largest_first[: size - quotas.sum()]] += 1

    order = np.random.RandomState(seed).permutation(num_images)
    held_out = np.zeros(num_images, dtype=bool)
    for label, quota in enumerate(quotas):
        held_out[order[classes[order] == label][:quota]] = True
    return torch.from_numpy(np.flatnonzero(~held_out)), torch.from_numpy(np.flatnonzero(held_out))


def split_hash(indices: Tensor) -> str:
    """Name a split, so that two runs can be seen to have validated on the same images.

    The name is the SHA-256, in hexadecimal, of the ascending indices as little-endian int64.
    """
    return hashlib.sha256(np.sort(indices.cpu().numpy()).astype("<i8").tobytes()).hexdigest()


def pixel_mean_std(images: Tensor, indices: Tensor | None = None) -> tuple[float, float]:
    """Compute mean and population standard deviation of pixels that are scaled to [0, 1].

    The sums of pixels and of squared pixels are exact integers, so the results are the correctly
    rounded ones (the standard deviation within one unit in the last place), whatever the order of
    the images, the number of threads or the device. The 60,000 training images of MNIST give
    0.13066047627384286 and 0.3081078038564627.

    Args:
        images: uint8 images of any shape `(n, ...)`, n above 0.
        indices: Indices of the images to count, shape `(m,)`; None counts all.
    """
    chosen = images if indices is None else images[indices]
    counts = torch.bincount(chosen.flatten(), minlength=256).tolist()
    total = sum(value * count for value, count in enumerate(counts))
    total_of_squares = sum(value**2 * count for value, count in enumerate(counts))
    mean = Fraction(total, 255 * chosen.numel())
    variance = Fraction(total_of_squares, 255**2 * chosen.numel()) - mean**2
    return float(mean), math.sqrt(variance)


def normalize(images: Tensor, mean: float, std: float, out: Tensor | None = None) -> Tensor:
    """Bring pixels to [0, 1], subtract `mean` and divide by `std`.

    Images are uint8 from 0 to 255, or floats in [0, 1], of any shape; `out`, floats of the same
    shape, is overwritten and returned. The arithmetic is that of torchvision's `ToTensor` and
    `Normalize`, to the last bit.
    """
    out = torch.empty_like(images, dtype=torch.float32) if out is None else out
    out.copy_(images)  # converting first is faster than dividing bytes
    if not images.is_floating_point():
        out.div_(255)
    return out.sub_(mean).div_(std)
