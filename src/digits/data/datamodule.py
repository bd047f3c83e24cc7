"""MNIST as a LightningDataModule: download, normalization and split."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from digits.data.batches import Batch, InMemoryImages, Order, Stacks, loader
from digits.data.datasets import SAMPLE, LabelledImages, prepare, read
from digits.data.split import normalize, pixel_mean_std, split_hash, stratified_split
from digits.errors import DigitsError

IMAGES_PER_STACK = 8192
"""Many enough to hide Lightning's work, few enough for a progress bar that moves."""
VAL_SIZE, SAMPLE_VAL_SIZE = 5000, 500
SPLIT_OPTIONS = ("val_size", "train_size", "split_seed")

_log = logging.getLogger(__name__)


class MNISTDataModule(LightningDataModule):
    """Handwritten digits, 28 x 28: the official 60,000 to train on and 10,000 to test with.

    The images stay in the device's memory, as bytes. A loader hands out whole stacks of minibatches
    by one indexing operation; they are changed at random and normalized on the device.

    Args:
        dir: where the files are, or where they are downloaded to.
        source: "auto" (files in `dir`, else download, else the embedded sample), "local",
            "download" or "sample".
        batch_size: images in a minibatch, for one optimizer step.
        val_size: training images kept apart for validation; for the sample, 5,000 means 500.
        train_size: images to train on, of those that are left, the same share of each digit; `None`
            for all.
        split_seed: draws the validation images; the same ones for the same number on every machine.
        mean: subtracted from pixels in [0, 1]; `None` for the exact mean of the training images.
        std: what pixels are then divided by; `None` for the exact one.
        augment: changes training images, still bytes, by draws of a generator.
        seed: draws the order of the training images, together with the epoch.
        minibatches_per_stack: minibatches that the training receives at once; `None`: 8,192 images.
        eval_batch_size: images in a batch of validation or test.
    """

    def __init__(
        self,
        dir: str | Path = "data",
        source: str = "auto",
        batch_size: int = 64,
        val_size: int = VAL_SIZE,
        train_size: int | None = None,
        split_seed: int = 0,
        mean: float | None = 0.5,
        std: float | None = 0.5,
        augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
        seed: int = 0,
        minibatches_per_stack: int | None = None,
        eval_batch_size: int = 2500,
    ) -> None:
        super().__init__()
        self.dir, self.source = Path(dir), source
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.minibatches_per_stack = minibatches_per_stack or max(1, IMAGES_PER_STACK // batch_size)
        self.val_size, self.train_size, self.split_seed = val_size, train_size, split_seed
        self.seed = seed
        self.mean, self.std, self.augment = mean, std, augment
        self.dataset: str = ""
        self.train: LabelledImages | None = None
        self.test: LabelledImages | None = None
        self._normalized = torch.empty(0)
        self.train_indices = self.val_indices = torch.empty(0, dtype=torch.int64)

    def prepare_data(self) -> None:
        """Finds or downloads the files, once for fit and test."""
        self.dataset = self.dataset or prepare(self.dir, self.source)

    def setup(self, stage: str) -> None:
        """Reads what the stage needs: a fit never touches the test images."""
        self.prepare_data()  # Lightning calls it in the first process of a machine only
        if self.train is None and (stage in ("fit", "validate") or None in (self.mean, self.std)):
            self._read_train()
        if self.test is None and stage in ("test", "predict"):
            self.test = read(self.dir, "test", self.dataset)

    def _read_train(self) -> None:
        self.train = read(self.dir, "train", self.dataset)
        of_mnist = self.dataset == SAMPLE and self.val_size == VAL_SIZE
        val_size = SAMPLE_VAL_SIZE if of_mnist else self.val_size
        self.train_indices, self.val_indices = stratified_split(
            self.train.labels, val_size, self.split_seed
        )
        if self.train_size is not None:
            labels = self.train.labels[self.train_indices]
            self.train_indices = self.train_indices[
                stratified_split(labels, self.train_size, self.split_seed, "data.train_size")[1]
            ]
        if self.mean is None or self.std is None:
            mean, std = pixel_mean_std(self.train.images, self.train_indices)
            self.mean = mean if self.mean is None else self.mean
            self.std = std if self.std is None else self.std
        sizes = len(self.train_indices), len(self.val_indices)
        _log.info("%s: %d training, %d validation images", self.dataset, *sizes)
        _log.info("mean %s, standard deviation %s", self.mean, self.std)

    @property
    def split_sha256(self) -> str:
        """What identifies the validation images: SHA-256 of their sorted indices."""
        return split_hash(self.val_indices)

    @property
    def train_sha256(self) -> str:
        """What identifies the training images: the dataset's name, and their indices' SHA-256."""
        return f"{self.dataset}:{split_hash(self.train_indices)}"

    def num_minibatches(self) -> int:
        """Returns the number of minibatches that each process trains on in an epoch."""
        return len(Stacks(self._order(self.train_indices, self.seed), self.batch_size))

    def train_dataloader(self) -> DataLoader[Batch]:
        """Makes the loader of shuffled stacks of minibatches."""
        assert self.train is not None
        order = self._order(self.train_indices, self.seed)
        return self._loader(
            self.train, order, self.batch_size, self.batch_size * self.minibatches_per_stack
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """Makes the loader of the validation images."""
        assert self.train is not None
        order = self._order(self.val_indices, seed=None)
        return self._loader(self.train, order, self.eval_batch_size, self.eval_batch_size)

    def test_dataloader(self) -> DataLoader[Batch]:
        """Makes the loader of the test images."""
        assert self.test is not None
        order = self._order(torch.arange(len(self.test.labels)), seed=None)
        return self._loader(self.test, order, self.eval_batch_size, self.eval_batch_size)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Normalizes on the device: on the CPU in `Batch.minibatches`, else all at once.

        A processor's cache holds some minibatches, but no stack; a GPU prefers few operations.
        """
        if batch.images.device.type == "cpu":
            return batch._replace(prepare=self._normalize, augment=self.augment)
        if self.augment and self.trainer and self.trainer.training:
            return batch._replace(prepare=self.normalized, augment=self.augment)
        return batch._replace(images=self.normalized(batch.images))

    def normalized(self, images: Tensor) -> Tensor:
        """Returns images (n, 1, 28, 28), bytes, as the network receives them, in new memory."""
        assert self.mean is not None and self.std is not None
        return normalize(images, self.mean, self.std)

    def _normalize(self, images: Tensor) -> Tensor:
        assert self.mean is not None and self.std is not None
        if len(self._normalized) < len(images):
            with torch.inference_mode(False):  # memory of an evaluation serves training, too
                self._normalized = torch.empty(images.shape)
        return normalize(images, self.mean, self.std, out=self._normalized[: len(images)])

    def state_dict(self) -> dict[str, Any]:
        """Returns what belongs to the trained model: the statistics, and which images it saw."""
        split = {name: getattr(self, name) for name in SPLIT_OPTIONS}
        hashes = {"train_sha256": self.train_sha256, "val_sha256": self.split_sha256}
        return {"mean": self.mean, "std": self.std, "dataset": self.dataset} | split | hashes

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the statistics from a checkpoint.

        Raises:
            DigitsError: the checkpoint is of a training on other images.
        """
        if self.train is not None and state_dict["train_sha256"] != self.train_sha256:
            raise DigitsError(
                f"the checkpoint is of a training on other images ({state_dict['dataset']}) than "
                f"are here now ({self.dataset}); try the same data again, or another name=RUN"
            )
        self.mean, self.std = state_dict["mean"], state_dict["std"]

    def _order(self, indices: Tensor, seed: int | None) -> Order:
        trainer = self.trainer
        return Order(indices, seed, *((trainer.global_rank, trainer.world_size) if trainer else ()))

    def _loader(
        self, data: LabelledImages, order: Order, batch_size: int, size: int
    ) -> DataLoader[Batch]:
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        return loader(
            InMemoryImages(data.images.to(device), data.labels.to(device), batch_size), order, size
        )
