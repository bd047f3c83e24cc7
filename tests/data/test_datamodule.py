from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fitting import fit
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import SGD

from digits.data import datamodule as datamodule_file
from digits.data.batches import Batch
from digits.data.datamodule import MNISTDataModule
from digits.data.datasets import MNIST, LabelledImages, load_sample, read
from digits.data.published import Part
from digits.errors import DigitsError
from digits.models import BaselineClassifier
from digits.models.augmentation import Augmentation


def prepared(*stages: str, **options: Any) -> MNISTDataModule:
    data = MNISTDataModule(**{"source": "sample"} | options)
    data.prepare_data()
    for stage in stages:
        data.setup(stage)
    return data


def labels_of(loader: Any) -> Tensor:
    return torch.cat([labels for _, labels in loader])


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Part]:
    """Return the parts that are read, in order."""
    found: list[Part] = []

    def spy(folder: Path, part: Part, dataset: str) -> LabelledImages:
        found.append(part)
        return read(folder, part, dataset)

    monkeypatch.setattr(datamodule_file, "read", spy)
    return found


class Stranger(LightningModule):
    """A network as Lightning's tutorials have it, which knows nothing of this project."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        self.labels: list[Tensor] = []

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        self.labels.append(labels)
        return F.cross_entropy(self.network(images), labels)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        accuracy = (self.network(images).argmax(1) == labels).float().mean()
        self.log("accuracy", accuracy, batch_size=len(labels))

    test_step = validation_step

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        logits: Tensor = self.network(batch[0])
        return logits

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.003)


def trainer(**options: Any) -> Trainer:
    torch.set_num_threads(1)
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    return Trainer(**quiet | options)


def test_mnist_is_split_as_it_was_published(real_data: Path) -> None:
    data = prepared("fit", "test", dir=real_data, source="local")
    assert data.dataset == MNIST
    assert (len(data.train_indices), len(data.val_indices)) == (55_000, 5_000)
    assert data.train is not None
    assert data.train.labels.equal(read(real_data, "train", MNIST).labels)
    assert labels_of(data.test_dataloader()).equal(read(real_data, "test", MNIST).labels)
    # the published split's own check sum, as in test_split.py
    assert data.split_sha256.startswith("6b22518e9a53b841")


@pytest.mark.parametrize(("val_size", "expected"), [(100, 100), (5000, 500)])
def test_val_size_is_kept_up_to_what_the_sample_allows(val_size: int, expected: int) -> None:
    data = prepared("fit", val_size=val_size)
    assert len(data.val_indices) == expected
    assert len(data.train_indices) == 4000 - expected
    labels = labels_of(data.val_dataloader())
    assert Counter(labels.tolist()) == dict.fromkeys(range(10), expected // 10)


def test_without_validation_a_stranger_trains_on_all_images_and_their_statistics() -> None:
    data, model = prepared(val_size=0, mean=None, std=None, batch_size=500), Stranger()
    with pytest.warns(UserWarning, match="across ranks is zero"):
        trainer(max_epochs=1).fit(model, data)
    official = load_sample("train")
    assert data.train_indices.tolist() == list(range(4000))
    assert torch.cat(model.labels).bincount().equal(official.labels.bincount())
    assert data.mean == pytest.approx(np.mean(official.images.numpy() / 255), rel=1e-12)
    assert data.std == pytest.approx(np.std(official.images.numpy() / 255), rel=1e-12)
    assert list(data.val_dataloader()) == []


def test_train_size_takes_so_many_of_each_digit_of_the_images_that_are_left() -> None:
    whole, data = prepared("fit"), prepared("fit", train_size=1000)
    assert prepared("fit", train_size=3500).train_indices.equal(whole.train_indices)
    assert data.val_indices.equal(whole.val_indices)
    assert set(data.train_indices.tolist()) < set(whole.train_indices.tolist())
    labels = labels_of(data.train_dataloader())
    assert Counter(labels.tolist()) == dict.fromkeys(range(10), 100)


@pytest.mark.parametrize("options", [{"val_size": -1}, {"train_size": 0}, {"train_size": 4000}])
def test_an_impossible_size_is_refused_by_its_own_name(options: dict[str, int]) -> None:
    ((name, value),) = options.items()
    with pytest.raises(DigitsError, match=rf"data\.{name} must be .* got {value}; .*{name}="):
        prepared("fit", **options)


def test_the_split_does_not_depend_on_the_runs_seed_but_on_its_own() -> None:
    hashes = [
        prepared("fit", **options).split_sha256
        for options in ({}, {"seed": 1}, {"batch_size": 7}, {"split_seed": 1})
    ]
    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]


def test_exact_statistics_are_those_of_the_images_that_are_trained_on() -> None:
    data = prepared("fit", mean=None, std=None, train_size=200)
    assert data.train is not None
    # NumPy adds pairwise, which torch does not: 1e-15 instead of 1e-11.
    pixels = data.train.images[data.train_indices].double().numpy() / 255
    assert (data.mean, data.std) == pytest.approx((pixels.mean(), pixels.std()), rel=1e-12)


def test_a_test_computes_the_statistics_that_are_not_given(reads: list[Part]) -> None:
    data = prepared("test", mean=None)
    assert data.mean is not None
    assert sorted(reads) == ["test", "train"]


def test_a_fit_never_reads_the_test_images(reads: list[Part]) -> None:
    trainer(max_epochs=1).fit(Stranger(), MNISTDataModule(source="sample"))
    assert reads == ["train"]


def test_a_stranger_sees_every_image_once_an_epoch_learns_is_tested_and_predicts() -> None:
    model, data = Stranger(), MNISTDataModule(source="sample")
    running = trainer(max_epochs=2)
    running.fit(model, data)
    assert data.train is not None
    expected = data.train.labels[data.train_indices].sort().values
    first, second = torch.cat(model.labels).view(2, -1)
    assert first.sort().values.equal(expected) and second.sort().values.equal(expected)
    assert not first.equal(second)
    (tested,) = running.test(model, data, verbose=False)
    # One in ten is chance.
    assert tested["accuracy"] > 0.7
    logits = torch.cat(running.predict(model, data))  # type: ignore[arg-type]
    num_correct = int((logits.argmax(1) == load_sample("test").labels).sum())
    assert tested["accuracy"] == pytest.approx(num_correct / 1000)


def test_loaders_give_images_and_labels_without_lightning() -> None:
    data = MNISTDataModule(source="sample", batch_size=32, mean=0.2, std=0.7)
    for loader, size in ((data.train_dataloader(), 32), (data.test_dataloader(), 1000)):
        images, labels = next(iter(loader))
        assert (images.shape, images.dtype) == ((size, 1, 28, 28), torch.float32)
        assert (labels.shape, labels.dtype) == ((size,), torch.int64)
    expected = load_sample("test")
    assert labels.equal(expected.labels)
    assert images.equal((expected.images / 255 - 0.2) / 0.7)
    assert len(data.train_dataloader()) == data.num_minibatches() == 110


def test_a_plain_loader_augments_as_a_function_of_seed_and_epoch() -> None:
    def epochs(seed: int) -> list[Tensor]:
        loader = prepared(seed=seed, augment=Augmentation(shift=2)).train_dataloader()
        found = []
        for _ in range(2):
            images, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
            found.append(images[labels == 7].sum((1, 2, 3)))
        return found

    torch.manual_seed(0)
    first, second = epochs(0)
    torch.manual_seed(1)
    assert first.equal(epochs(0)[0])
    assert not first.equal(second) and not first.equal(epochs(1)[0])
    plain = prepared(train_size=64, batch_size=64).train_dataloader()
    moved = prepared(train_size=64, batch_size=64, augment=Augmentation(shift=2)).train_dataloader()
    (images, labels), (others, their_labels) = next(iter(plain)), next(iter(moved))
    assert labels.equal(their_labels) and not images.equal(others)


def test_stacks_are_bytes_that_become_minibatches() -> None:
    data = prepared("fit", batch_size=64, train_size=1000, mean=0.2, std=0.7)
    expected = list(data.train_dataloader())
    data.give_stacks(5)
    stacks = list(data.train_dataloader())
    assert all(images.dtype == torch.uint8 for images, _ in stacks)
    assert [len(labels) for _, labels in stacks] == [320, 320, 320, 40]
    found = [
        (images.clone(), labels) for stack in stacks for images, labels in data.minibatches(stack)
    ]
    assert len(found) == len(expected) == data.num_minibatches() == 16
    for (images, labels), (their_images, their_labels) in zip(found, expected, strict=True):
        assert images.equal(their_images) and labels.equal(their_labels)


def test_each_minibatch_of_a_stack_is_augmented_by_draws_of_its_own() -> None:
    augmentation = Augmentation(rotation=30)
    data = prepared("fit", batch_size=8, train_size=20, augment=augmentation)
    data.give_stacks(3)
    (stack,) = data.train_dataloader()
    seeds = iter(range(3))
    found = [
        images.clone()
        for images, _ in data.minibatches(stack, lambda: torch.manual_seed(next(seeds)))
    ]
    for seed, images, pixels in zip(range(3), found, torch.split(stack[0], 8), strict=True):
        assert images.equal(data.normalized(augmentation(pixels, torch.manual_seed(seed))))
    assert torch.cat([images.clone() for images, _ in data.minibatches(stack)]).equal(
        data.normalized(stack[0])
    )


@pytest.mark.parametrize(("batch_size", "expected"), [(64, 128), (100, 81), (9000, 1)])
def test_a_stack_holds_about_8192_images_in_whole_minibatches(
    batch_size: int, expected: int
) -> None:
    data = MNISTDataModule(batch_size=batch_size)
    assert data.minibatches_per_stack == 1
    data.give_stacks()
    assert data.minibatches_per_stack == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_epochs": 1}, 128),
        ({"limit_train_batches": 1.0, "limit_val_batches": 1}, 128),
        ({"limit_train_batches": 1}, 1),
        ({"limit_train_batches": 0.5}, 1),
        ({"fast_dev_run": 3}, 1),
        ({"val_check_interval": 5}, 1),
    ],
    ids=str,
)
def test_where_lightning_counts_batches_a_batch_is_a_minibatch(
    options: dict[str, Any], expected: int
) -> None:
    data = MNISTDataModule()
    data.trainer = trainer(**options)
    data.give_stacks()
    assert data.minibatches_per_stack == expected


def test_a_checkpoint_brings_the_statistics_back() -> None:
    exact = prepared("fit", mean=None, std=None)
    other = MNISTDataModule(source="sample", mean=None, std=None)
    other.load_state_dict(exact.state_dict())
    assert (other.mean, other.std) == (exact.mean, exact.std)


def test_overfit_batches_gives_the_same_images_each_epoch() -> None:
    class Recorder(BaselineClassifier):
        def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
            seen.append(batch[1].tolist())

    seen: list[list[int]] = []
    model = Recorder([8], optimizer=partial(SGD, lr=0.1))
    fit(model, minibatches_per_stack=None, overfit_batches=3)
    assert len(seen) == 6 and seen[:3] == seen[3:]
    assert len(set(map(tuple, seen))) == 3
