import copy
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from digits.data import datamodule as datamodule_file
from digits.data.batches import Batch
from digits.data.datamodule import MNISTDataModule
from digits.data.files import Part
from digits.data.images import LabelledImages
from digits.data.mnist import MNIST, SAMPLE, read
from digits.data.sample import load_sample
from digits.data.split import split_hash
from digits.errors import DigitsError


def prepared(*stages: str, **options: Any) -> MNISTDataModule:
    data = MNISTDataModule(**{"source": "sample"} | options)
    data.prepare_data()
    for stage in stages:
        data.setup(stage)
    return data


def normalized(data: MNISTDataModule) -> Tensor:
    """All training images as the network receives them."""
    batches = [data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader()]
    return torch.cat([images.clone() for batch in batches for images, _ in batch.minibatches()])


def labels_of(loader: Any) -> Tensor:
    return torch.cat([batch.labels for batch in loader])


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Part]:
    """The parts that are read, in their order."""
    found: list[Part] = []

    def spy(folder: Path, part: Part, dataset: str) -> LabelledImages:
        found.append(part)
        return read(folder, part, dataset)

    monkeypatch.setattr(datamodule_file, "read", spy)
    return found


class Silent(LightningModule):
    """Receives batches and learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.labels: list[Tensor] = []

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        self.labels.append(batch.labels)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        assert all(images.dtype == torch.float32 for images, _ in batch.minibatches())

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        assert all(images.dtype == torch.float32 for images, _ in batch.minibatches())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(**options: Any) -> Trainer:
    torch.set_num_threads(1)
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
    }
    return Trainer(**quiet | options)


def test_the_sample_has_3500_500_and_1000_images() -> None:
    data = prepared("fit", "test")
    sizes = [len(labels_of(each())) for each in (data.train_dataloader, data.val_dataloader)]
    assert sizes == [3500, 500]
    assert len(labels_of(data.test_dataloader())) == 1000
    assert data.dataset == SAMPLE


def test_mnist_is_split_as_it_was_published(real_data: Path) -> None:
    data = prepared("fit", "test", dir=real_data, source="local")
    assert data.dataset == MNIST
    assert (len(data.train_indices), len(data.val_indices)) == (55_000, 5_000)
    assert data.train is not None
    assert data.train.labels.equal(read(real_data, "train", MNIST).labels)
    assert labels_of(data.test_dataloader()).equal(read(real_data, "test", MNIST).labels)
    # the published split's own check sum, as in test_split.py
    assert data.split_sha256.startswith("6b22518e9a53b841")


def test_no_image_is_in_two_parts() -> None:
    data = prepared("fit", "test")
    assert data.train is not None
    assert data.test is not None
    train, val = data.train_indices.tolist(), data.val_indices.tolist()
    assert sorted(train + val) == list(range(4000))
    pixels = {image.tobytes() for image in data.train.images.numpy()}
    assert pixels.isdisjoint(image.tobytes() for image in data.test.images.numpy())


def test_test_images_come_whole_and_in_their_own_order() -> None:
    data = prepared("test")
    expected = load_sample("test")
    assert labels_of(data.test_dataloader()).equal(expected.labels)
    assert torch.cat([batch.images for batch in data.test_dataloader()]).equal(expected.images)


@pytest.mark.parametrize(("val_size", "expected"), [(100, 100), (500, 500), (5000, 500)])
def test_val_size_is_kept_up_to_what_the_sample_allows(val_size: int, expected: int) -> None:
    data = prepared("fit", val_size=val_size)
    assert len(data.val_indices) == expected
    assert len(data.train_indices) == 4000 - expected
    labels = labels_of(data.val_dataloader())
    assert Counter(labels.tolist()) == dict.fromkeys(range(10), expected // 10)


@pytest.mark.parametrize("train_size", [10, 1000, 3499])
def test_train_size_takes_so_many_of_the_images_that_are_left(train_size: int) -> None:
    whole, data = prepared("fit"), prepared("fit", train_size=train_size)
    assert len(labels_of(data.train_dataloader())) == train_size
    assert data.val_indices.equal(whole.val_indices)
    assert set(data.train_indices.tolist()) < set(whole.train_indices.tolist())
    if train_size % 10 == 0:
        labels = labels_of(data.train_dataloader())
        assert Counter(labels.tolist()) == dict.fromkeys(range(10), train_size // 10)


@pytest.mark.parametrize("options", [{"val_size": 0}, {"train_size": 0}, {"train_size": 4000}])
def test_an_impossible_size_is_told_by_its_own_name(options: dict[str, int]) -> None:
    ((name, value),) = options.items()
    with pytest.raises(DigitsError, match=rf"data\.{name} must be .* got {value}; .*{name}="):
        prepared("fit", **options)


def test_the_split_does_not_depend_on_the_runs_seed_but_on_its_own() -> None:
    hashes = [
        prepared("fit", **options).split_sha256
        for options in ({}, {"seed": 1}, {"batch_size": 7}, {"split_seed": 1})
    ]
    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]
    assert hashes[0] == split_hash(prepared("fit").val_indices)


def test_the_seed_draws_the_order_of_the_training_images() -> None:
    first, again, other = (
        labels_of(prepared("fit", seed=seed).train_dataloader()) for seed in (0, 0, 1)
    )
    assert first.equal(again)
    assert not first.equal(other)


def test_exact_statistics_give_mean_0_and_deviation_1_over_the_training_images() -> None:
    data = prepared("fit", mean=None, std=None, batch_size=3500, train_size=None)
    pixels = normalized(data).double()
    assert pixels.mean().item() == pytest.approx(0, abs=1e-6)
    assert pixels.std(correction=0).item() == pytest.approx(1, abs=1e-6)


def test_exact_statistics_are_those_of_the_images_that_are_trained_on() -> None:
    data = prepared("fit", mean=None, std=None, train_size=200)
    assert data.train is not None
    # NumPy adds pairwise, which torch does not: 1e-15 instead of 1e-11.
    pixels = data.train.images[data.train_indices].double().numpy() / 255
    assert (data.mean, data.std) == pytest.approx((pixels.mean(), pixels.std()), rel=1e-12)


def test_one_statistic_can_be_given_and_the_other_computed() -> None:
    exact = prepared("fit", mean=None, std=None)
    assert prepared("fit", mean=0.25, std=None).std == exact.std
    assert prepared("fit", mean=None, std=0.25).mean == exact.mean


@pytest.mark.parametrize("options", [{"mean": None}, {"std": None}, {"mean": None, "std": None}])
def test_a_test_computes_the_statistics_that_are_not_given(
    options: dict[str, Any], reads: list[Part]
) -> None:
    data = prepared("test", **options)
    assert data.mean is not None
    assert data.std is not None
    assert sorted(reads) == ["test", "train"]


def test_a_fit_never_reads_the_test_images(reads: list[Part]) -> None:
    trainer(max_epochs=1).fit(Silent(), MNISTDataModule(source="sample"))
    assert reads == ["train"]


def test_a_test_with_given_statistics_never_reads_the_training_images(reads: list[Part]) -> None:
    trainer().test(Silent(), MNISTDataModule(source="sample"), verbose=False)
    assert reads == ["test"]


def test_each_part_is_read_once(reads: list[Part]) -> None:
    data = MNISTDataModule(source="sample")
    for _ in range(2):
        trainer(max_epochs=1).fit(Silent(), data)
        trainer().test(Silent(), data, verbose=False)
    assert sorted(reads) == ["test", "train"]


def test_another_process_finds_what_the_first_has_prepared() -> None:
    first = MNISTDataModule(source="sample")
    second = copy.deepcopy(first)
    first.prepare_data()
    for each in (first, second):
        each.setup("fit")
    assert second.dataset == first.dataset == SAMPLE
    assert second.train_indices.equal(first.train_indices)


def test_without_files_and_network_the_sample_is_taken_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = prepared("fit", "test", dir=tmp_path, source="auto", mirrors=())
    assert data.dataset == SAMPLE
    assert (len(data.train_indices), len(data.val_indices)) == (3500, 500)
    warnings = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert ["NOT FULL MNIST" in each.getMessage() for each in warnings] == [True]


def test_lightning_shows_every_image_once_an_epoch_in_an_order_of_its_own() -> None:
    model, data = Silent(), MNISTDataModule(source="sample", train_size=300, seed=4)
    trainer(max_epochs=2).fit(model, data)
    labels = torch.cat(model.labels)
    assert data.train is not None
    expected = data.train.labels[data.train_indices].sort().values
    assert labels[:300].sort().values.equal(expected)
    assert labels[300:].sort().values.equal(expected)
    assert not labels[:300].equal(labels[300:])


def test_the_number_of_minibatches_is_that_of_all_stacks() -> None:
    data = prepared("fit", batch_size=64, minibatches_per_stack=5, train_size=1000)
    stacks = list(data.train_dataloader())
    assert [stack.num_minibatches() for stack in stacks] == [5, 5, 5, 1]
    assert [len(list(stack.minibatches())) for stack in stacks] == [5, 5, 5, 1]
    assert data.num_minibatches() == 16


@pytest.mark.parametrize(("batch_size", "expected"), [(64, 128), (100, 81), (5000, 1), (9000, 1)])
def test_a_stack_holds_about_8192_images_in_whole_minibatches(
    batch_size: int, expected: int
) -> None:
    assert MNISTDataModule(batch_size=batch_size).minibatches_per_stack == expected


def test_a_smaller_batch_after_a_larger_one_is_normalized_whole() -> None:
    data = prepared("fit", mean=0.2, std=0.7, eval_batch_size=300)
    sizes = []
    for batch in data.val_dataloader():
        pixels = batch.images.clone()
        ((images, labels),) = data.on_after_batch_transfer(batch, 0).minibatches()
        assert images.equal(((pixels / 255) - 0.2) / 0.7)
        assert labels.equal(batch.labels)
        sizes.append(len(images))
    assert sizes == [300, 200]


def test_a_checkpoint_brings_the_statistics_back() -> None:
    exact = prepared("fit", mean=None, std=None)
    other = MNISTDataModule(source="sample", mean=None, std=None)
    other.load_state_dict(exact.state_dict())
    assert (other.mean, other.std) == (exact.mean, exact.std)
