"""Data sets as LightningDataModules: fetched, split, normalized, in batches `(images, labels)`."""

import logging
import os
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from digits.data.batches import EVAL_BATCH_SIZE, Batch, Batches, InMemoryImages, Order, loader
from digits.data.datasets import (
    MNIST,
    VAL_SIZE,
    LabelledImages,
    classes_of,
    default_folder,
    prepare,
    read,
)
from digits.data.split import normalize, pixel_mean_std, split_hash
from digits.data.validation import split_images
from digits.errors import DigitsError
from digits.randomness import AUGMENTATION, draw_seed

IMAGES_PER_STACK = 8192
"""Enough to hide Lightning's work, few enough for a progress bar that moves."""
PREPARED_TOGETHER = 1024
"""Images of a stack that are normalized by one operation on the CPU: few enough to stay in its
cache until they are used, enough to be worth the start of several threads."""
NUM_CLEAN = 10_000
"""Training images, at least, by which statistics of the network are computed: each mean is known to
a hundredth of a standard deviation, in a fraction of the time that an epoch takes."""

_log = logging.getLogger(__name__)


class MNISTDataModule(LightningDataModule):
    """Images of 28 x 28, as MNIST's: the official 60,000 to train on and 10,000 to test with.

    The images stay in the device's memory, as bytes; a batch is taken by one operation. Loaders
    give `(images, labels)`: float32 (batch, 1, 28, 28), normalized, and int64 (batch,). They work
    with any LightningModule (on several devices with `use_distributed_sampler=False`, since an
    epoch is divided here) and without Lightning: `for images, labels in data.train_dataloader()`.

    Args:
        dir: where the files are, or are downloaded to; `None`: DIGITS_DATA, else "data".
        source: "auto" (files in `dir`, else download, else the embedded sample), "local",
            "download" or "sample".
        batch_size: images in a minibatch, for one optimizer step.
        val_size: training images kept apart for validation; `None`: 5,000, 500 of the sample, which
            5,000 means there as well, and a tenth of pictures. With 0 there is no validation, and
            all images are trained on.
        train_size: images to train on, of the others, the same share of each digit; `None`: all.
        split: "random" (the same share of each digit) or "writers" (all images of some writers).
        split_seed: draws the validation images, the same ones on every machine.
        folds: parts of equal size for cross-validation, in place of `val_size`; `None`: no.
        fold: which of them, from 0, is for validation.
        mean: subtracted from pixels in [0, 1]; `None`: the training images' own.
        std: what pixels are then divided by; `None`: the training images' own.
        augment: changes training images, still bytes, by draws of a generator.
        seed: draws the order of the training images and their augmentation, with the epoch.
        eval_batch_size: images in a batch of validation or test.
        dataset: "mnist", "fashion_mnist", "kmnist", or "pictures": `dir` is a folder of yours.
    """

    def __init__(
        self,
        dir: str | Path | None = None,
        source: str = "auto",
        batch_size: int = 64,
        val_size: int | None = VAL_SIZE,
        train_size: int | None = None,
        split: str = "random",
        split_seed: int = 0,
        folds: int | None = None,
        fold: int | None = None,
        mean: float | None = 0.5,
        std: float | None = 0.5,
        augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
        seed: int = 0,
        eval_batch_size: int = EVAL_BATCH_SIZE,
        dataset: str = MNIST,
    ) -> None:
        super().__init__()
        self.dir = Path(os.path.expanduser(dir or default_folder())).absolute()
        self.source, self.asked_for, self.dataset = source, dataset, ""
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.val_size, self.train_size = val_size, train_size
        self.split, self.split_seed = split, split_seed
        self.folds, self.fold = folds, fold
        self.mean, self.std, self.augment, self.seed = mean, std, augment, seed
        self.train: LabelledImages | None = None
        self.test: LabelledImages | None = None
        self.train_indices = self.val_indices = torch.empty(0, dtype=torch.int64)
        self._gives_stacks = False
        self._minibatches_per_stack: int | None = None
        self._normalized = torch.empty(0)

    def prepare_data(self) -> None:
        if not self.dataset:
            self.dataset = prepare(self.dir, self.source, self.asked_for, self.split)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the labels."""
        return classes_of(self.dir, self.asked_for)

    def setup(self, stage: str | None = None) -> None:
        """Read what a stage needs, or everything: a fit never touches the test images."""
        self.prepare_data()  # Lightning calls it in the first process of a machine only
        uses_train = stage in (None, "fit", "validate") or None in (self.mean, self.std)
        if self.train is None and uses_train:
            self._read_train()
        if self.test is None and stage in (None, "test", "predict"):
            self.test = read(self.dir, "test", self.dataset)

    def _read_train(self) -> None:
        self.train = read(self.dir, "train", self.dataset)
        options = self.val_size, self.train_size, self.split, self.split_seed, self.folds, self.fold
        self.train_indices, self.val_indices = split_images(
            self.dir, self.dataset, self.train.labels, *options
        )
        if self.mean is None or self.std is None:
            mean, std = pixel_mean_std(self.train.images, self.train_indices)
            self.mean = mean if self.mean is None else self.mean
            self.std = std if self.std is None else self.std
        _log.info(
            f"{self.dataset}: {len(self.train_indices)} training, {len(self.val_indices)} "
            f"validation images; mean {self.mean}, standard deviation {self.std}"
        )

    @property
    def split_sha256(self) -> str:
        """What identifies the validation images: SHA-256 of their sorted indices."""
        return split_hash(self.val_indices)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Make the loader of shuffled minibatches, or of stacks of them after `give_stacks`.

        Each pass over it is another epoch, drawn from the seed and its number; a new loader starts
        over at the first.
        """
        self.setup("fit")
        size = self.batch_size * self.minibatches_per_stack
        return self._loader(self.train, self.train_indices, size, self.seed)

    def clean_train_dataloader(self) -> DataLoader[Batch]:
        """Make the loader of training images to compute statistics of: unshuffled, unchanged."""
        self.setup("fit")
        every = max(1, len(self.train_indices) // NUM_CLEAN)
        return self._loader(self.train, self.train_indices[::every], self.eval_batch_size)

    def val_dataloader(self) -> DataLoader[Batch]:
        self.setup("validate")
        return self._loader(self.train, self.val_indices, self.eval_batch_size)

    def test_dataloader(self) -> DataLoader[Batch]:
        self.setup("test")
        assert self.test is not None
        indices = torch.arange(len(self.test.labels))
        return self._loader(self.test, indices, self.eval_batch_size)

    predict_dataloader = test_dataloader

    def _loader(
        self, data: LabelledImages | None, indices: Tensor, batch_size: int, seed: int | None = None
    ) -> DataLoader[Batch]:
        assert data is not None
        is_training = seed is not None
        # Lightning would take out a shuffling sampler, but looks for torch's own only.
        is_shuffled = is_training and not getattr(self.trainer, "overfit_batches", 0)
        order = self._order(indices, seed if is_shuffled else None)

        def transform(images: Tensor, places: Tensor) -> Tensor:
            if self.augment and is_training:
                # An image is visited once an epoch, so the first of a minibatch stands for it.
                seed = draw_seed(self.seed, order.epoch, int(places[0]), AUGMENTATION)
                generator = torch.Generator(images.device).manual_seed(seed)
                images = self.augment(images, generator)
            return self.normalized(images)

        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        as_bytes = self._gives_stacks and is_training
        dataset = InMemoryImages(data, indices, device, None if as_bytes else transform)
        return loader(dataset, order, batch_size)

    def _order(self, indices: Tensor, seed: int | None) -> Order:
        processes = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else ()
        return Order(len(indices), seed, *processes)

    def normalized(self, images: Tensor, out: Tensor | None = None) -> Tensor:
        """Return images (n, 1, 28, 28), bytes, as the network receives them; `out` is reused."""
        assert self.mean is not None and self.std is not None
        return normalize(images, self.mean, self.std, out=out)

    def give_stacks(self, minibatches_per_stack: int | None = None) -> None:
        """Have the training loader give stacks of bytes; see `Classifier.train_on_stacks`."""
        self._gives_stacks, self._minibatches_per_stack = True, minibatches_per_stack

    @property
    def minibatches_per_stack(self) -> int:
        """Minibatches that a training step receives at once."""
        if not self._gives_stacks:
            return 1
        if self._minibatches_per_stack:
            return self._minibatches_per_stack
        if self.trainer and (self.trainer.world_size > 1 or _counts_batches(self.trainer)):
            return 1  # gradients are exchanged, and batches counted, once for each of Lightning's
        return max(1, IMAGES_PER_STACK // self.batch_size)

    def num_minibatches(self) -> int:
        """Return the number of minibatches that each process trains on in an epoch."""
        return len(Batches(self._order(self.train_indices, self.seed), self.batch_size))

    def minibatches(
        self, stack: Batch, draws: Callable[[], torch.Generator] | None = None
    ) -> Iterator[Batch]:
        """Yield the normalized minibatches of a stack; the last one may be smaller.

        Images are prepared in the same memory again and again, on the stack's device: they are
        valid until the next minibatch is asked for. `draws` is called for each minibatch and
        returns the generator, on that device, of its augmentation; without it there is none.
        """
        images, labels = stack
        size = self.batch_size  # of what is prepared by one operation
        if not (augment := self.augment if draws else None):
            together = PREPARED_TOGETHER if images.device.type == "cpu" else len(images)
            size *= max(1, together // size)
        if len(self._normalized) < size or self._normalized.device != images.device:
            self._normalized = images.new_empty(size, *images.shape[1:], dtype=torch.float32)
        for some, their_labels in zip(
            torch.split(images, size), torch.split(labels, size), strict=True
        ):
            if augment and draws:
                some = augment(some, draws())
            some = self.normalized(some, out=self._normalized[: len(some)])
            yield from zip(
                torch.split(some, self.batch_size),
                torch.split(their_labels, self.batch_size),
                strict=True,
            )

    def state_dict(self) -> dict[str, Any]:
        """Return what belongs to the trained model: the statistics, and which images it saw."""
        options = ("val_size", "train_size", "split", "split_seed", "folds", "fold")
        return {name: getattr(self, name) for name in ("mean", "std", "dataset", *options)} | {
            "classes": list(self.classes),
            "train_sha256": f"{self.dataset}:{split_hash(self.train_indices)}",
            "val_sha256": self.split_sha256,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the statistics from a checkpoint of a training on the same images."""
        own = self.state_dict()
        if self.train is not None and state_dict["train_sha256"] != own["train_sha256"]:
            raise DigitsError(
                f"the checkpoint was trained on other images ({state_dict['dataset']}) than these "
                f"({self.dataset}); try the same data again, or another name=RUN"
            )
        self.mean, self.std = state_dict["mean"], state_dict["std"]


def _counts_batches(trainer: Any) -> bool:
    # 1.0 means all batches, 1 a single one. `overfit_batches` and `fast_dev_run` are limits, too.
    limits = trainer.limit_train_batches, getattr(trainer, "val_check_interval", 1.0)
    return any(isinstance(limit, int) or limit < 1.0 for limit in limits)
