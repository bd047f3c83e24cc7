"""Trainings on a few real images: the project's, and the same ones in Lightning's own way."""

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from digits.data.batches import Batch
from digits.data.datamodule import MNISTDataModule
from digits.models import Classifier
from digits.randomness import draw_seed

BATCH_SIZE = 16
NUM_IMAGES = 200
MINIBATCHES = 13
"""In an epoch: twelve of 16 images and one of 8."""


def images(**options: Any) -> MNISTDataModule:
    """Return 200 images of the sample to train on, 500 to validate, 1,000 to test."""
    defaults: dict[str, Any] = {"batch_size": BATCH_SIZE, "train_size": NUM_IMAGES, "seed": 3}
    return MNISTDataModule(source="sample", **defaults | options)


def stacks(model: Classifier, minibatches_per_stack: int, **options: Any) -> MNISTDataModule:
    """Return those images, in stacks for this model."""
    data = images(**options)
    model.train_on_stacks(data, minibatches_per_stack)
    return data


def trainer(**options: Any) -> Trainer:
    """Return a trainer of two epochs that writes and prints nothing, and validates if asked to."""
    # On a busy machine two threads wait for each other, up to 10 ms an operation.
    torch.set_num_threads(1)
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "max_epochs": 2,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "limit_val_batches": 0,
        "log_every_n_steps": 1,
        "use_distributed_sampler": False,
    }
    return Trainer(**quiet | options)


def fit(model: LightningModule, minibatches_per_stack: int | None = 0, **options: Any) -> Trainer:
    """Train a model on `images`, in stacks but for 0; `None`: of the usual size."""
    fitting, data = trainer(**options), images()
    if minibatches_per_stack != 0 and isinstance(model, Classifier):
        model.train_on_stacks(data, minibatches_per_stack)
    fitting.fit(model, data)
    return fitting


class AutomaticTwin(LightningModule):
    """The training of a classifier as Lightning does it: one minibatch a batch, one loss a step.

    Args:
        network: copied, so that both start from the same weights.
        optimizer: makes the optimizer.
        schedule: makes a schedule that is stepped with the optimizer.
        seed: what the random draws of the training depend on, together with the step.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[[Optimizer], LRScheduler] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self.make_optimizer, self.make_schedule, self.seed = optimizer, schedule, seed

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        place = batch_idx % self.trainer.accumulate_grad_batches
        torch.default_generator.manual_seed(draw_seed(self.seed, self.global_step, place, 0))
        images, labels = batch
        return F.cross_entropy(self.network(images.to(self.dtype)), labels)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Lightning would warn if there were none."""

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer(self.parameters())
        if self.make_schedule is None:
            return optimizer
        schedule = {"scheduler": self.make_schedule(optimizer), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def same_weights(network: nn.Module, other: nn.Module) -> bool:
    """Say whether two networks are equal to the last bit."""
    weights, others = network.state_dict(), other.state_dict()
    return weights.keys() == others.keys() and all(
        weight.equal(others[name]) for name, weight in weights.items()
    )
