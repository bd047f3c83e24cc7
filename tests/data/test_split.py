import hashlib
import math
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from torch import Tensor
from torchvision.transforms import Compose, Normalize, ToTensor

from digits.data.datasets import MNIST, read
from digits.data.split import (
    folds_by_class,
    normalize,
    pixel_mean_std,
    split_hash,
    stratified_split,
)
from digits.errors import DigitsError

examples = settings(max_examples=200, deadline=None, derandomize=True, database=None)


# Of every 21 images, class c has as many as its place in this list says.
UNEVEN = torch.tensor(
    [label for label, count in enumerate([6, 5, 4, 3, 2, 1]) for _ in range(count)]
)


def test_the_draw_has_not_changed_since_it_was_published() -> None:
    _, validation = stratified_split(UNEVEN, 6, seed=0)
    assert validation.tolist() == [1, 4, 8, 13, 16, 18]


@pytest.mark.parametrize("size", [-1, 21])
def test_an_impossible_size_names_the_option(size: int) -> None:
    with pytest.raises(DigitsError, match=r"data\.val_size must be .* \[0, 20\].* try data"):
        stratified_split(UNEVEN, size, seed=0)


def test_the_hash_is_that_of_the_ascending_little_endian_indices() -> None:
    expected = hashlib.sha256(struct.pack("<3q", 2, 5, 70_000)).hexdigest()
    assert split_hash(torch.tensor([70_000, 2, 5])) == expected


def test_validation_images_of_mnist_are_the_published_ones(real_data: Path) -> None:
    labels = read(real_data, "train", MNIST).labels
    _, validation = stratified_split(labels, 5_000, seed=0)
    assert split_hash(validation) == (
        "6b22518e9a53b8419cb52cd52c1867f52e4436ea8cdb88cec8047ec5db05f353"
    )


LABELS = st.lists(st.integers(-3, 12), min_size=2, max_size=120)
SEEDS = st.integers(0, 2**32 - 1)


@given(LABELS, st.data(), SEEDS)
@examples
def test_a_split_is_disjoint_complete_and_stratified(
    labels: list[int], data: st.DataObject, seed: int
) -> None:
    size = data.draw(st.integers(1, len(labels) - 1))
    training, validation = (
        each.tolist() for each in stratified_split(torch.tensor(labels), size, seed)
    )
    assert len(validation) == size
    assert sorted(training + validation) == list(range(len(labels)))
    assert training == sorted(training) and validation == sorted(validation)
    for label in set(labels):
        share = labels.count(label) * size / len(labels)
        assert abs(sum(labels[index] == label for index in validation) - share) < 1


# Exact statistics

IMAGES = st_numpy.arrays(np.uint8, st_numpy.array_shapes(min_dims=1, max_dims=3, max_side=9))


def check(found: tuple[float, float], pixels: list[int]) -> None:
    """Compare with mean and variance by their definitions, as fractions."""
    scaled = [Fraction(pixel, 255) for pixel in pixels]
    mean = sum(scaled, Fraction()) / len(scaled)
    variance = sum(((pixel - mean) ** 2 for pixel in scaled), Fraction()) / len(scaled)
    assert found[0] == float(mean)  # the correctly rounded one
    low, high = math.nextafter(found[1], -math.inf), math.nextafter(found[1], math.inf)
    assert found[1] == 0 if not variance else Fraction(low) ** 2 < variance < Fraction(high) ** 2


@given(IMAGES, st.data())
@examples
def test_mean_and_deviation_are_the_exact_ones_rounded(
    images: np.ndarray, data: st.DataObject
) -> None:
    pixels = torch.from_numpy(images)
    check(pixel_mean_std(pixels), images.flatten().tolist())
    indices = data.draw(st.lists(st.integers(0, len(images) - 1), min_size=1, max_size=12))
    check(pixel_mean_std(pixels, torch.tensor(indices)), images[indices].flatten().tolist())


def test_statistics_of_mnist_are_the_known_ones(real_data: Path) -> None:
    images = read(real_data, "train", MNIST).images
    known = (0.13066047627384286, 0.3081078038564627)
    assert pixel_mean_std(images) == pytest.approx(known, abs=1e-13)


# Normalization

EVERY_BYTE = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)


def torchvisions(images: Tensor, mean: float, std: float) -> Tensor:
    """Return what torchvision makes of the images, one by one."""
    transform = Compose([ToTensor(), Normalize((mean,), (std,))])
    return torch.stack([transform(image.numpy().transpose(1, 2, 0)) for image in images])


@pytest.mark.parametrize(
    ("mean", "std"),
    [(0.0, 1.0), (0.5, 0.5), (0.1307, 0.3081), (0.13066047627384286, 0.3081078038564627)],
)
def test_bytes_become_what_torchvision_makes_of_them_to_the_last_bit(
    mean: float, std: float
) -> None:
    images = torch.randint(0, 256, (5, 1, 28, 28), dtype=torch.uint8)
    for each in (EVERY_BYTE, images):
        found = normalize(each, mean, std)
        assert found.dtype == torch.float32
        assert found.equal(torchvisions(each, mean, std))


def test_floats_become_what_their_bytes_do_and_stay() -> None:
    images = EVERY_BYTE / 255
    assert normalize(images, 0.1, 0.3).equal(normalize(EVERY_BYTE, 0.1, 0.3))
    assert images.equal(EVERY_BYTE / 255)


def test_memory_that_is_handed_in_is_used() -> None:
    out = torch.full(EVERY_BYTE.shape, torch.nan)
    found = normalize(EVERY_BYTE, 0.5, 0.5, out=out)
    assert found.data_ptr() == out.data_ptr()
    assert out.equal(normalize(EVERY_BYTE, 0.5, 0.5))


@given(LABELS, st.integers(2, 7), SEEDS)
@examples
def test_folds_have_each_class_in_equal_numbers(labels: list[int], folds: int, seed: int) -> None:
    found = folds_by_class(torch.tensor(labels), folds, seed)
    for chosen in (found, *(found[np.array(labels) == label] for label in set(labels))):
        counts = np.bincount(chosen, minlength=folds)
        assert len(counts) == folds and counts.max() - counts.min() <= 1
