"""From images in memory to stacks of minibatches, without any work for a single image."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from digits.randomness import draw_seed

PREPARED_TOGETHER = 1024
"""Images that are normalized by one operation on the CPU."""


class Batch(NamedTuple):
    """Images and labels, to be visited in minibatches of `batch_size`."""

    images: Tensor
    """uint8 or float (n, 1, 28, 28)."""
    labels: Tensor
    """int64 (n,), 0 to 9."""
    batch_size: int
    prepare: Callable[[Tensor], Tensor] | None = None
    """What makes normalized floats of images, unless they are that already."""
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None
    """What changes training images before that, by draws of a generator."""

    def num_minibatches(self) -> int:
        """Returns the number of minibatches."""
        return -(-self.labels.shape[0] // self.batch_size)

    def minibatches(
        self, draws: Callable[[], torch.Generator] | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields normalized images and labels; the last minibatch may be smaller.

        Args:
            draws: called for each minibatch; gives the generator, on the images' device, of what
                its images are changed by. `None` leaves all images as they are.

        On the CPU they are prepared some minibatches at a time, in the same memory again and again:
        few enough to stay in the processor's cache until they are used, and enough to be worth the
        start of several threads. So a minibatch's images are valid until the next one is asked for.
        """
        if draws and self.augment and self.prepare:
            for images, labels in zip(
                torch.split(self.images, self.batch_size),
                torch.split(self.labels, self.batch_size),
                strict=True,
            ):
                yield self.prepare(self.augment(images, draws())), labels
            return
        size = self.batch_size * max(1, PREPARED_TOGETHER // self.batch_size)
        for images, labels in zip(
            torch.split(self.images, size), torch.split(self.labels, size), strict=True
        ):
            prepared = images if self.prepare is None else self.prepare(images)
            yield from zip(
                torch.split(prepared, self.batch_size),
                torch.split(labels, self.batch_size),
                strict=True,
            )


class InMemoryImages(Dataset[Batch]):
    """Images and labels as two tensors, of which many rows are taken by one indexing operation."""

    def __init__(self, images: Tensor, labels: Tensor, batch_size: int) -> None:
        self.images, self.labels, self.batch_size = images, labels, batch_size

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.labels)

    def __getitems__(self, indices: Tensor) -> Batch:
        """Returns the images at `indices` (int64), in that order."""
        # index_select copies whole rows, several times as fast as indexing with []
        indices = indices.to(self.images.device)
        images, labels = self.images.index_select(0, indices), self.labels.index_select(0, indices)
        return Batch(images, labels, self.batch_size)


class Order(Sampler[int]):
    """The order in which an epoch visits images: drawn from (seed, epoch), or as they are.

    Args:
        indices: int64 (n,), the images to visit.
        seed: `None` to visit them in the given order.
        rank: which of `num_replicas` processes this is; each visits every `num_replicas`-th image
            of the epoch.
        num_replicas: number of processes that share an epoch.
    """

    def __init__(
        self, indices: Tensor, seed: int | None, rank: int = 0, num_replicas: int = 1
    ) -> None:
        self.indices, self.seed, self.epoch = indices, seed, 0
        self.rank, self.num_replicas = rank, num_replicas

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Returns the number of images that this process visits in an epoch."""
        return len(range(self.rank, len(self.indices), self.num_replicas))

    def permuted(self) -> Tensor:
        """Returns the indices, int64 (len(self),), in this epoch's order."""
        indices = self.indices
        if self.seed is not None:
            generator = torch.Generator().manual_seed(draw_seed(self.seed, self.epoch))
            indices = indices[torch.randperm(len(indices), generator=generator)]
        return indices[self.rank :: self.num_replicas]

    def __iter__(self) -> Iterator[int]:
        """Yields the indices one by one; `Stacks` takes them all at once instead."""
        return iter(self.permuted().tolist())


class Stacks(Sampler[Tensor]):
    """Cuts an epoch's order into index tensors of `size` images; the last one may be shorter.

    Attributes:
        start: the stack that the next epoch begins with, for a run that goes on within an epoch.
    """

    def __init__(self, sampler: Order, size: int) -> None:
        self.sampler, self.size, self.start = sampler, size, 0

    def __len__(self) -> int:
        """Returns the number of stacks in an epoch, which is the same in all processes."""
        largest_shard = -(-len(self.sampler.indices) // self.sampler.num_replicas)
        return -(-largest_shard // self.size)

    def __iter__(self) -> Iterator[Tensor]:
        """Yields int64 tensors; the order is drawn at the first `next`, after `set_epoch`."""
        indices, num_stacks = self.sampler.permuted(), len(self)
        # A process with one image less than the others leaves at least one for each later stack.
        ends = [
            min((stack + 1) * self.size, len(indices) - (num_stacks - 1 - stack))
            for stack in range(num_stacks)
        ]
        first, self.start = self.start, 0
        for start, end in list(itertools.pairwise([0, *ends]))[first:]:
            yield indices[start:end]


def _whole_batch(batch: Any) -> Any:
    return batch


def loader(dataset: InMemoryImages, order: Order, images_per_stack: int) -> DataLoader[Batch]:
    """Makes the `DataLoader`: one `__getitems__` a stack, nothing collated, no worker processes."""
    stacks: Any = Stacks(order, images_per_stack)  # torch's types know lists of indices only
    return DataLoader(dataset, batch_sampler=stacks, collate_fn=_whole_batch)
