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
            f"try {option}={min(max(size, minimum), num_images - 1)}"
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


def writers_split(
    writers: np.ndarray, series: np.ndarray, size: int, seed: int, option: str = "data.val_size"
) -> tuple[Tensor, Tensor]:
    """Set the images of whole writers aside, each series in the proportion that it has.

    Writers are drawn in a random order while they fit into their series' quota; then one of them is
    exchanged for whoever comes nearest to it. `RandomState` draws, as in `stratified_split`.

    Args:
        writers: The number of each image's writer, shape `(n,)`.
        series: Each image's series, shape `(n,)`; all images of a writer have the same.
        size: Number of validation images, met within 1 %.
        seed: Seed of the draw, in [0, 2**32 - 1].
        option: What the size is called on the command line.

    Returns:
        Indices of the training images and of the validation images, as `stratified_split` does.

    Raises:
        DigitsError: If no whole writers have about so many images.
    """
    random, num_images = np.random.RandomState(seed), len(writers)
    held_out = np.zeros(num_images, dtype=bool)
    for each in np.unique(series):
        names, counts = np.unique(writers[series == each], return_counts=True)
        left = round(size * int(counts.sum()) / num_images)
        is_chosen = np.zeros(len(names), dtype=bool)
        for place in random.permutation(len(names)):
            if counts[place] <= left:
                is_chosen[place] = True
                left -= int(counts[place])
        # A place for "nobody", so that a writer may also be added or left out.
        chosen, others = (np.append(np.flatnonzero(at), -1) for at in (is_chosen, ~is_chosen))
        counts = np.append(counts, 0)
        errors = np.abs(left + counts[chosen][:, None] - counts[others])
        leaves, comes = np.unravel_index(int(errors.argmin()), errors.shape)
        is_chosen = np.append(is_chosen, False)
        is_chosen[chosen[leaves]], is_chosen[others[comes]] = False, True
        held_out |= np.isin(writers, names[is_chosen[:-1]])
    if not 0 < (found := int(held_out.sum())) < num_images or abs(found - size) > 0.01 * size:
        raise DigitsError(
            f"{option}={size} cannot be met within 1 % by whole writers, who have about "
            f"{num_images // len(np.unique(writers))} images each; try {option}={num_images // 12}"
        )
    return torch.from_numpy(np.flatnonzero(~held_out)), torch.from_numpy(np.flatnonzero(held_out))


def folds_by_class(labels: Tensor, folds: int, seed: int) -> np.ndarray:
    """Deal images into folds of k-fold cross-validation: each class evenly, to one image.

    Returns:
        The number of each image's fold, from 0: shape `(n,)`.
    """
    order = np.random.RandomState(seed).permutation(len(labels))
    by_class = order[np.argsort(labels.numpy()[order], kind="stable")]
    found = np.empty(len(labels), dtype=np.int64)
    found[by_class] = np.arange(len(labels)) % folds
    return found


def folds_by_writers(writers: np.ndarray, series: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Deal whole writers into folds, those with most images first, each to the smallest fold.

    Both series are dealt evenly. Arguments are those of `writers_split`.

    Returns:
        The number of each image's fold, from 0: shape `(n,)`.
    """
    random, found = np.random.RandomState(seed), np.empty(len(writers), dtype=np.int64)
    for each in np.unique(series):
        names, counts = np.unique(writers[series == each], return_counts=True)
        order, sizes = random.permutation(len(names)), np.zeros(folds, dtype=np.int64)
        for place in order[np.argsort(-counts[order], kind="stable")]:
            smallest = int(sizes.argmin())
            sizes[smallest] += counts[place]
            found[writers == names[place]] = smallest
    return found


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
