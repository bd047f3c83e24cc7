"""Any labels and sizes, split into training and validation images."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_up import examples, or_refused

from digits.data.split import split_hash, stratified_split

LABELS = st.lists(st.integers(-3, 12), min_size=2, max_size=120)
SEEDS = st.integers(0, 2**32 - 1)


@given(LABELS, st.data(), SEEDS)
@examples(300)
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


@given(LABELS, st.data(), SEEDS)
@examples(100)
def test_the_draw_is_a_function_of_its_arguments_alone(
    labels: list[int], data: st.DataObject, seed: int
) -> None:
    size = data.draw(st.integers(1, len(labels) - 1))
    first = stratified_split(torch.tensor(labels), size, seed)
    torch.rand(3)
    np.random.rand(3)
    again = stratified_split(torch.tensor(labels), size, seed)
    assert all(each.equal(other) for each, other in zip(first, again, strict=True))


@given(LABELS, st.data(), SEEDS)
@examples(100)
def test_how_many_of_a_class_are_held_out_depends_on_the_counts_alone(
    labels: list[int], data: st.DataObject, seed: int
) -> None:
    size = data.draw(st.integers(1, len(labels) - 1))
    shuffled = data.draw(st.permutations(labels))
    held_out = []
    for order in (labels, shuffled):
        _, validation = stratified_split(torch.tensor(order), size, seed)
        held_out.append(sorted(order[index] for index in validation.tolist()))
    assert held_out[0] == held_out[1]


@given(st.permutations(range(20)))
@examples(50)
def test_the_name_of_a_split_does_not_depend_on_the_order(indices: list[int]) -> None:
    assert split_hash(torch.tensor(indices)) == split_hash(torch.arange(20))


@given(
    st.lists(st.integers(0, 9), max_size=9),
    st.one_of(st.integers(), st.floats(), st.none(), st.booleans()),
    st.one_of(st.integers(), st.floats(), st.none(), st.booleans()),
)
@examples(200)
def test_any_size_and_seed_are_taken_or_refused(
    labels: list[int], size: object, seed: object
) -> None:
    parts = or_refused(stratified_split, torch.tensor(labels), size, seed)
    assert parts is None or sum(map(len, parts)) == len(labels)
