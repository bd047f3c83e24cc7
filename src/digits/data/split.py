"""Which training images are set aside for validation."""

import hashlib

import numpy as np
import torch
from torch import Tensor

from digits.data.normalization import normalize as normalize
from digits.errors import DigitsError


def stratified_split(
    labels: Tensor, size: int, seed: int, option: str = "data.val_size"
) -> tuple[Tensor, Tensor]:
    """Set exactly `size` images aside, each class in the proportion that it has in `labels`.

    Class quotas are rounded by largest remainder (Hamilton's method), ties to the lower label.
    The draw is the same on every machine and with every version: it uses `np.random.RandomState`,
    whose stream NumPy has frozen (NEP 19), whereas torch's and `np.random.Generator`'s may change.

    Args:
        labels: int64 labels of all n images, shape `(n,)`.
        size: Number of validation images, in [1, n - 1].
        seed: Seed of the draw, in [0, 2**32 - 1].
        option: What the size is called on the command line.

    Returns:
        Indices of the training images and of the validation images: int64, ascending, disjoint,
        together 0 to n - 1.

    Raises:
        DigitsError: If `size` or `seed` is out of its range.
    """
    num_images = len(labels)
    if not isinstance(size, int) or not 1 <= size < num_images:
        raise DigitsError(
            f"{option} must be a whole number in [1, {num_images - 1}], because there are "
            f"{num_images} training images, got {size}; "
            f"try {option}={max(1, num_images // 12)}"
        )
    if not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise DigitsError(
            f"seed must be a whole number in [0, {2**32 - 1}], got {seed}; try seed=0"
        )

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

    Args:
        indices: Indices of the validation images, in any order, shape `(size,)`.

    Returns:
        SHA-256, in hexadecimal, of the ascending indices as little-endian int64.
    """
    return hashlib.sha256(np.sort(indices.cpu().numpy()).astype("<i8").tobytes()).hexdigest()
