import hashlib
import struct
from collections import Counter
from pathlib import Path

import pytest
import torch

from digits.data.mnist import MNIST, read
from digits.data.split import split_hash, stratified_split
from digits.errors import DigitsError

# Of every 21 images, class c has as many as its place in this list says.
UNEVEN = torch.tensor(
    [label for label, count in enumerate([6, 5, 4, 3, 2, 1]) for _ in range(count)]
)


def test_the_split_is_a_partition_in_ascending_order() -> None:
    labels = UNEVEN.repeat(10)
    train, validation = stratified_split(labels, 37, seed=3)
    assert train.dtype == validation.dtype == torch.int64
    assert len(validation) == 37
    assert train.tolist() == sorted(train.tolist())
    assert validation.tolist() == sorted(validation.tolist())
    assert sorted(train.tolist() + validation.tolist()) == list(range(len(labels)))


def test_class_proportions_are_kept_exactly_where_they_can_be() -> None:
    labels = UNEVEN.repeat(10)
    _, validation = stratified_split(labels, 42, seed=0)
    assert Counter(labels[validation].tolist()) == {0: 12, 1: 10, 2: 8, 3: 6, 4: 4, 5: 2}


@pytest.mark.parametrize("size", [1, 2, 10, 100, 208, 209])
def test_no_class_is_off_its_proportion_by_one_image(size: int) -> None:
    labels = UNEVEN.repeat(10)
    counts = Counter(labels.tolist())
    _, validation = stratified_split(labels, size, seed=1)
    drawn = Counter(labels[validation].tolist())
    assert sum(drawn.values()) == size
    for label, count in counts.items():
        assert abs(drawn[label] - size * count / len(labels)) < 1


def test_largest_remainders_get_the_images_left_over() -> None:
    # Quotas for 4 of 10: class 0 1.2, class 1 1.6, class 2 1.2; the one left over is class 1's.
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2, 2])
    _, validation = stratified_split(labels, 4, seed=0)
    assert Counter(labels[validation].tolist()) == {0: 1, 1: 2, 2: 1}


def test_the_same_seed_draws_the_same_images_and_another_seed_others() -> None:
    labels = UNEVEN.repeat(10)
    first, again, other = (stratified_split(labels, 42, seed)[1] for seed in (0, 0, 1))
    assert first.equal(again)
    assert not first.equal(other)


def test_the_draw_has_not_changed_since_it_was_published() -> None:
    _, validation = stratified_split(UNEVEN, 6, seed=0)
    assert validation.tolist() == [1, 4, 8, 13, 16, 18]


def test_the_draw_does_not_touch_the_global_random_state() -> None:
    before = torch.random.get_rng_state()
    stratified_split(UNEVEN, 6, seed=0)
    assert torch.random.get_rng_state().equal(before)


@pytest.mark.parametrize("size", [-1, 0, 21, 22, 0.5, 5.0])
def test_an_impossible_size_names_the_option(size: int) -> None:
    with pytest.raises(DigitsError, match=r"data\.val_size must be .* \[1, 20\].* try data"):
        stratified_split(UNEVEN, size, seed=0)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_an_impossible_seed_is_named(seed: int) -> None:
    with pytest.raises(DigitsError, match=f"got {seed}"):
        stratified_split(UNEVEN, 6, seed)


def test_the_hash_is_that_of_the_ascending_little_endian_indices() -> None:
    expected = hashlib.sha256(struct.pack("<3q", 2, 5, 70_000)).hexdigest()
    assert split_hash(torch.tensor([70_000, 2, 5])) == expected


def test_validation_images_of_mnist_are_the_published_ones(real_data: Path) -> None:
    labels = read(real_data, "train", MNIST).labels
    _, validation = stratified_split(labels, 5_000, seed=0)
    assert split_hash(validation) == (
        "6b22518e9a53b8419cb52cd52c1867f52e4436ea8cdb88cec8047ec5db05f353"
    )
