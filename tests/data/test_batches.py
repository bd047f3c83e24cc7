import pytest
import torch
from lightning_fabric.utilities.data import _set_sampler_epoch
from torch import Tensor
from torch.utils.data import DataLoader, SequentialSampler

from digits.data.batches import Batch, Batches, InMemoryImages, Order, loader
from digits.data.datasets import LabelledImages

CPU = torch.device("cpu")
NUM_IMAGES = 103


def epochs_order(epoch: int, seed: int | None = 5, rank: int = 0, num_replicas: int = 1) -> Tensor:
    order = Order(NUM_IMAGES, seed, rank, num_replicas)
    order.set_epoch(epoch)
    return order.permuted()


def numbered_images(num_images: int) -> InMemoryImages:
    """Make images whose pixels are their place in the data set, the last part of a tensor."""
    pixels = torch.arange(-20, num_images).clamp(min=0).to(torch.uint8)
    images = pixels.reshape(-1, 1, 1, 1).expand(-1, 1, 28, 28).contiguous()
    data = LabelledImages(images, pixels.long() % 10)
    return InMemoryImages(data, torch.arange(20, num_images + 20), CPU)


def places(batch: Batch) -> Tensor:
    return batch[0][:, 0, 0, 0].long()


def test_the_order_is_a_function_of_seed_and_epoch_alone() -> None:
    before, state = epochs_order(3), torch.random.get_rng_state()
    epochs_order(4)
    assert torch.random.get_rng_state().equal(state)
    torch.rand(10)
    assert epochs_order(3).equal(before)
    assert before.sort().values.equal(torch.arange(NUM_IMAGES))
    orders = [epochs_order(epoch, seed) for epoch in range(5) for seed in range(5)]
    assert len({tuple(order.tolist()) for order in orders}) == 25
    assert epochs_order(1, seed=None).equal(torch.arange(NUM_IMAGES))


@pytest.mark.parametrize("seed", [5, None])
@pytest.mark.parametrize("num_replicas", [2, 3])
def test_processes_together_take_the_images_that_one_process_would(
    num_replicas: int, seed: int | None
) -> None:
    whole = epochs_order(2, seed)
    for rank in range(num_replicas):
        share = epochs_order(2, seed, rank, num_replicas)
        assert share.equal(whole[rank::num_replicas])
        assert len(share) == len(Order(NUM_IMAGES, seed, rank, num_replicas))


@pytest.mark.parametrize("size", [10, 103, 500])
def test_batches_cut_the_order(size: int) -> None:
    order = Order(NUM_IMAGES, seed=5)
    expected = order.permuted()
    batches = Batches(order, size)
    found = list(batches)
    assert len(found) == len(batches) == -(-NUM_IMAGES // size)
    assert torch.cat(found).equal(expected)
    assert {len(batch) for batch in found[:-1]} <= {size}


@pytest.mark.parametrize(("num_images", "size"), [(129, 64), (103, 4), (6, 3)])
@pytest.mark.parametrize("num_replicas", [2, 3])
def test_processes_with_unequal_shares_take_equally_many_batches(
    num_images: int, size: int, num_replicas: int
) -> None:
    shares = [
        list(Batches(Order(num_images, 5, rank, num_replicas), size))
        for rank in range(num_replicas)
    ]
    assert len({len(batches) for batches in shares}) == 1
    assert all(1 <= len(batch) <= size for batches in shares for batch in batches)
    visited = torch.cat([batch for batches in shares for batch in batches])
    assert sorted(visited.tolist()) == list(range(num_images))


def test_another_sampler_can_take_the_orders_place() -> None:
    data = numbered_images(50)
    data_loader = DataLoader(
        data, batch_sampler=Batches(SequentialSampler(data), 20), collate_fn=lambda batch: batch
    )
    found = [places(batch) for batch in data_loader]
    assert [len(batch) for batch in found] == [20, 20, 10]
    assert torch.cat(found).equal(torch.arange(50))


def test_epochs_follow_each_other_and_lightning_chooses_them() -> None:
    data_loader = loader(numbered_images(50), Order(50, seed=5), batch_size=20)

    def visited() -> list[int]:
        return torch.cat([places(batch) for batch in data_loader]).tolist()

    def expected(epoch: int) -> list[int]:
        order = Order(50, seed=5)
        order.set_epoch(epoch)
        found: list[int] = order.permuted().tolist()
        return found

    assert [visited(), visited()] == [expected(0), expected(1)]
    for epoch in (0, 1, 7):
        _set_sampler_epoch(data_loader, epoch)
        assert visited() == expected(epoch)


def test_images_and_labels_stay_together_in_the_order_that_is_asked_for() -> None:
    data = numbered_images(50)
    batch = data.__getitems__(torch.tensor([7, 3, 3, 49, 0]))
    assert places(batch).tolist() == [7, 3, 3, 49, 0]
    assert batch[1].tolist() == [7, 3, 3, 9, 0]
    assert batch[0].dtype == torch.uint8
    image, label = data[13]
    assert (image.shape, int(image[0, 0, 0]), int(label)) == ((1, 28, 28), 13, 3)
