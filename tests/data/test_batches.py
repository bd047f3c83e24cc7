from typing import Any

import pytest
import torch
from lightning_fabric.utilities.data import _set_sampler_epoch
from torch import Tensor
from torch.utils.data import DataLoader

from digits.data.batches import Batch, InMemoryImages, Order, Stacks, loader

INDICES = torch.arange(100, 203)


def epochs_order(epoch: int, seed: int | None = 5, rank: int = 0, num_replicas: int = 1) -> Tensor:
    order = Order(INDICES, seed, rank, num_replicas)
    order.set_epoch(epoch)
    return order.permuted()


def numbered_images(num_images: int) -> InMemoryImages:
    """Images whose label and pixels are their number."""
    labels = torch.arange(num_images)
    images = labels.to(torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 28, 28).contiguous()
    return InMemoryImages(images, labels, batch_size=4)


@pytest.mark.parametrize("epoch", [0, 1, 70])
def test_an_epoch_visits_every_image_exactly_once(epoch: int) -> None:
    assert sorted(epochs_order(epoch).tolist()) == INDICES.tolist()


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    before = epochs_order(3)
    torch.rand(10)
    epochs_order(4)
    assert epochs_order(3).equal(before)


def test_other_epochs_and_other_seeds_have_other_orders() -> None:
    orders = [epochs_order(epoch, seed) for epoch in range(5) for seed in range(5)]
    assert len({tuple(order.tolist()) for order in orders}) == 25


def test_an_order_does_not_touch_the_global_random_state() -> None:
    before = torch.random.get_rng_state()
    epochs_order(0)
    assert torch.random.get_rng_state().equal(before)


def test_without_a_seed_images_come_as_they_are_in_each_epoch() -> None:
    assert epochs_order(0, seed=None).equal(INDICES)
    assert epochs_order(1, seed=None).equal(INDICES)


@pytest.mark.parametrize("seed", [5, None])
@pytest.mark.parametrize("num_replicas", [2, 3])
def test_processes_share_an_epoch_without_overlap(num_replicas: int, seed: int | None) -> None:
    shards = [epochs_order(2, seed, rank, num_replicas).tolist() for rank in range(num_replicas)]
    assert sorted(index for shard in shards for index in shard) == INDICES.tolist()
    assert [len(shard) for shard in shards] == [
        len(Order(INDICES, seed, rank, num_replicas)) for rank in range(num_replicas)
    ]
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("num_replicas", [2, 3])
def test_processes_together_take_the_images_that_one_process_would(num_replicas: int) -> None:
    shards = [epochs_order(2, 5, rank, num_replicas).tolist() for rank in range(num_replicas)]
    whole = epochs_order(2).tolist()
    for place, index in enumerate(whole):
        assert shards[place % num_replicas][place // num_replicas] == index


def test_iterating_over_an_order_gives_the_same_indices() -> None:
    order = Order(INDICES, seed=5)
    assert list(order) == order.permuted().tolist()
    assert len(order) == len(INDICES)


@pytest.mark.parametrize("size", [1, 10, 103, 500])
def test_stacks_cut_the_order(size: int) -> None:
    order = Order(INDICES, seed=5)
    stacks = Stacks(order, size)
    found = list(stacks)
    assert len(found) == len(stacks) == -(-103 // size)
    assert torch.cat(found).equal(order.permuted())
    assert {len(stack) for stack in found[:-1]} <= {size}


@pytest.mark.parametrize(("num_images", "size"), [(129, 64), (103, 4), (97, 16), (6, 3)])
@pytest.mark.parametrize("num_replicas", [2, 3])
def test_processes_with_unequal_shares_take_equally_many_stacks(
    num_images: int, size: int, num_replicas: int
) -> None:
    indices = torch.arange(num_images)
    shares = [
        list(Stacks(Order(indices, 5, rank, num_replicas), size)) for rank in range(num_replicas)
    ]
    assert len({len(stacks) for stacks in shares}) == 1
    assert all(1 <= len(stack) <= size for stacks in shares for stack in stacks)
    visited = torch.cat([stack for stacks in shares for stack in stacks])
    assert sorted(visited.tolist()) == indices.tolist()


def test_lightning_reaches_the_order_with_each_new_epoch() -> None:
    def visited(epoch: int) -> list[int]:
        _set_sampler_epoch(data_loader, epoch)
        return torch.cat([batch.labels for batch in data_loader]).tolist()

    order = Order(torch.arange(50), seed=5)
    data_loader = loader(numbered_images(50), order, images_per_stack=20)
    for epoch in (0, 1, 7):
        expected = Order(torch.arange(50), seed=5)
        expected.set_epoch(epoch)
        assert visited(epoch) == expected.permuted().tolist()
    assert visited(0) != visited(1)


def test_a_stack_is_taken_by_one_call_for_all_of_its_images() -> None:
    calls: list[int] = []

    class Counting(InMemoryImages):
        def __getitems__(self, indices: Tensor) -> Batch:
            calls.append(len(indices))
            return super().__getitems__(indices)

    data = numbered_images(50)
    counting = Counting(data.images, data.labels, batch_size=4)
    batches = list(loader(counting, Order(torch.arange(50), seed=0), images_per_stack=20))
    assert calls == [20, 20, 10]
    assert [len(batch.labels) for batch in batches] == calls


def test_images_and_labels_stay_together_in_the_order_that_is_asked_for() -> None:
    indices = torch.tensor([7, 3, 3, 49, 0])
    batch = numbered_images(50).__getitems__(indices)
    assert batch.labels.equal(indices)
    assert batch.images.dtype == torch.uint8
    assert batch.images.amax((1, 2, 3)).equal(indices.to(torch.uint8))
    assert batch.batch_size == 4


def test_a_batch_does_not_share_memory_with_the_data_set() -> None:
    data = numbered_images(10)
    data.__getitems__(torch.arange(10)).images.zero_()
    assert data.images.any()


def test_the_loader_has_no_worker_processes_and_collates_nothing() -> None:
    batches: DataLoader[Any] = loader(numbered_images(6), Order(torch.arange(6), None), 6)
    assert batches.num_workers == 0
    (batch,) = batches
    assert isinstance(batch, Batch)
    assert len(batches) == 1
