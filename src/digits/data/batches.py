"""From images in memory to minibatches, without any work for a single image."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from digits.data.datasets import LabelledImages
from digits.randomness import draw_seed

EVAL_BATCH_SIZE = 2500
"""The same in a run and in `digits evaluate`, so that sums are rounded alike."""

Batch = tuple[Tensor, Tensor]
"""Images (n, 1, 28, 28) and labels, int64 (n,)."""

Transform = Callable[[Tensor, Tensor], Tensor]
"""What makes floats of a minibatch's bytes, given their places in the data set as well."""


class InMemoryImages(Dataset[Batch]):
    """The images of `data` at `indices`, kept on `device`, of which one operation takes many.

    `transform` is done with each minibatch; without one it stays bytes.
    """

    def __init__(
        self,
        data: LabelledImages,
        indices: Tensor,
        device: torch.device,
        transform: Transform | None = None,
    ) -> None:
        self.images, self.labels = data.images.to(device), data.labels.to(device)
        self.indices, self.transform = indices.to(device), transform

    def __len__(self) -> int:
        return len(self.indices)

    def __getitems__(self, places: Tensor | list[int]) -> Batch:
        # index_select copies whole rows, several times as fast as indexing with []
        places = torch.as_tensor(places)
        indices = self.indices.index_select(0, places.to(self.indices.device))
        images, labels = self.images.index_select(0, indices), self.labels.index_select(0, indices)
        return (self.transform(images, places) if self.transform else images), labels

    def __getitem__(self, place: int) -> Batch:
        images, labels = self.__getitems__([place])
        return images[0], labels[0]


class Order(Sampler[int]):
    """The order in which an epoch visits the images of a data set: drawn from (seed, epoch).

    Without a seed they are visited as they are. Of several processes, each visits every
    `num_replicas`-th image of the epoch.
    """

    def __init__(
        self, num_images: int, seed: int | None, rank: int = 0, num_replicas: int = 1
    ) -> None:
        self.num_images, self.seed, self.epoch = num_images, seed, 0
        self.rank, self.num_replicas = rank, num_replicas

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, as Lightning does before each; else they follow each other."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(range(self.rank, self.num_images, self.num_replicas))

    def permuted(self) -> Tensor:
        """Return the images' places in this epoch's order, int64 (len(self),)."""
        if self.seed is None:
            places = torch.arange(self.num_images)
        else:
            generator = torch.Generator().manual_seed(draw_seed(self.seed, self.epoch))
            places = torch.randperm(self.num_images, generator=generator)
        return places[self.rank :: self.num_replicas]

    def __iter__(self) -> Iterator[int]:
        return iter(self.permuted().tolist())


class Batches(BatchSampler):
    """An epoch cut into tensors of places, one for each batch; the last one may be shorter.

    A torch `BatchSampler`, so that Lightning can replace the order by one of its own, e.g. to
    predict, or for several processes with `use_distributed_sampler`; it gives a `drop_last`, which
    is ignored.
    """

    sampler: Sampler[int]

    def __init__(self, sampler: Sampler[int], batch_size: int, drop_last: bool = False) -> None:
        super().__init__(sampler, batch_size, drop_last=False)

    def __len__(self) -> int:
        """Return the number of batches, which is the same in all processes of an `Order`."""
        order = self.sampler
        if isinstance(order, Order):
            largest_share = math.ceil(order.num_images / order.num_replicas)
            return math.ceil(largest_share / self.batch_size)
        return super().__len__()

    def __iter__(self) -> Iterator[Any]:  # torch's types know lists only
        # Nothing here runs before the first `next`, and so after `set_epoch`.
        order = self.sampler
        places = order.permuted() if isinstance(order, Order) else torch.tensor(list(order))
        num_batches = len(self)
        # A process with one image less than the others leaves at least one for each later batch.
        ends = [
            min((batch + 1) * self.batch_size, len(places) - (num_batches - 1 - batch))
            for batch in range(num_batches)
        ]
        for start, end in itertools.pairwise([0, *ends]):
            yield places[start:end]
        if isinstance(order, Order):
            order.epoch += 1  # for a loop without Lightning


def loader(images: InMemoryImages, order: Order, batch_size: int) -> DataLoader[Batch]:
    """Make the `DataLoader`: one `__getitems__` a batch, nothing collated, no worker processes."""
    batches = Batches(order, batch_size)
    return DataLoader(images, batch_sampler=batches, collate_fn=lambda batch: batch)
