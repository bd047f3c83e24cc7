"""What a classifier measures, reports and refuses, and how a newcomer adds one."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fitting import MINIBATCHES, fit, images, same_weights, stacks, trainer
from pytorch_lightning import Callback
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.utils.data import DataLoader, TensorDataset

from digits.data.datasets import load_sample
from digits.data.split import normalize
from digits.errors import DigitsError
from digits.models import BaselineClassifier, Classifier
from digits.models.schedules import cosine

ADAM = partial(Adam, lr=0.003)


class InMemoryLogger(Logger):
    """Keep what is logged, with its step."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, float]]] = []

    name = version = "memory"

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append((step, {name: float(value) for name, value in metrics.items()}))

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        pass

    def steps(self, name: str) -> list[int | None]:
        return [step for step, metrics in self.rows if name in metrics]

    def values(self, name: str) -> list[float]:
        return [metrics[name] for _, metrics in self.rows if name in metrics]


class TwoLayers(Classifier):
    """A network as a newcomer writes it."""

    def __init__(self, width: int = 8, dropout_rate: float = 0.0, **training: Any) -> None:
        super().__init__(**training)
        self.network = nn.Sequential(
            nn.Flatten(),
            nn.Linear(784, width),
            nn.Tanh(),
            nn.Dropout(dropout_rate),
            nn.Linear(width, 10),
        )


class SpoiltAt(nn.Module):
    """A network whose logits are not finite at one of its calls, counted from 0."""

    def __init__(self, call: int, value: float) -> None:
        super().__init__()
        self.linear, self.call, self.value, self.num_calls = nn.Linear(784, 10), call, value, 0

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(images.flatten(1))
        spoilt = self.num_calls == self.call
        self.num_calls += 1
        return logits * self.value if spoilt else logits


def test_a_strangers_loader_is_trained_and_predicted_on() -> None:
    test = load_sample("test")
    data = TensorDataset(normalize(test.images, 0.5, 0.5), test.labels)
    model = TwoLayers(width=32, optimizer=ADAM, schedule=cosine)
    fitting, loader = trainer(max_epochs=4), DataLoader(data, batch_size=300)
    fitting.fit(model, DataLoader(data, batch_size=32, shuffle=True), loader)
    assert fitting.global_step == model.num_steps() == 4 * 32
    assert fitting.callback_metrics["train/accuracy"] > 0.5
    (measured,) = fitting.test(model, loader, verbose=False)
    logits: Any = fitting.predict(model, loader)
    assert torch.cat(logits).equal(model.test_logits)
    num_correct = int((model.test_logits.argmax(1) == test.labels).sum())
    assert measured["test/accuracy"] == pytest.approx(num_correct / 1000)
    alone: Any = data.tensors[0]
    images_alone: Any = fitting.predict(model, DataLoader(alone, batch_size=300))
    assert torch.cat(images_alone).equal(model.test_logits)


def test_a_checkpoint_holds_a_newcomers_arguments_and_no_object(tmp_path: Path) -> None:
    model = TwoLayers(width=5, optimizer=ADAM, accumulate_grad_batches=2, seed=9)
    fit(model).save_checkpoint(tmp_path / "a.ckpt")
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert content["hyper_parameters"] == {"width": 5, "dropout_rate": 0.0}
    again = TwoLayers.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert same_weights(again.network, model.network)


@pytest.mark.parametrize("eval_batch_size", [500, 7])
def test_validation_measures_the_mean_over_images_not_over_batches(eval_batch_size: int) -> None:
    model, data = BaselineClassifier([8]), images(eval_batch_size=eval_batch_size)
    (measured,) = trainer(limit_val_batches=None).validate(model, data, verbose=False)
    assert data.train is not None
    val_images = data.train.images[data.val_indices].double() / 255
    labels = data.train.labels[data.val_indices]
    logits = model.network.double()((val_images - 0.5) / 0.5)
    assert measured["val/loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    num_correct = int((logits.argmax(1) == labels).sum())
    assert measured["val/accuracy"] == pytest.approx(num_correct / 500, rel=1e-6)
    assert model.num_images["val"] == len(labels) == 500


def test_training_metrics_are_means_over_the_epochs_images() -> None:
    logits: list[Tensor] = []
    model = BaselineClassifier([8], optimizer=ADAM)
    model.network.register_forward_hook(lambda *call: logits.append(call[2].detach().clone()))
    logger, data = InMemoryLogger(), stacks(model, 5)
    trainer(logger=logger).fit(model, data)
    assert data.train is not None
    for epoch in range(2):
        order = data._order(data.train_indices, data.seed)
        order.set_epoch(epoch)
        labels = data.train.labels[data.train_indices[order.permuted()]]
        seen = torch.cat(logits[epoch * MINIBATCHES : (epoch + 1) * MINIBATCHES]).double()
        loss, accuracy = F.cross_entropy(seen, labels), (seen.argmax(1) == labels).double().mean()
        assert logger.values("train/loss")[epoch] == pytest.approx(loss.item(), rel=1e-5)
        assert logger.values("train/accuracy")[epoch] == pytest.approx(accuracy.item(), rel=1e-6)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("groups_per_stack", [2, 8])
def test_the_x_axis_of_every_curve_counts_optimizer_steps(
    accumulate: int, groups_per_stack: int
) -> None:
    logger = InMemoryLogger()
    model = BaselineClassifier([8], optimizer=ADAM, accumulate_grad_batches=accumulate)
    steps_per_epoch = -(-MINIBATCHES // accumulate)
    trainer(logger=logger, limit_val_batches=None).fit(
        model, stacks(model, groups_per_stack * accumulate)
    )
    # Lightning numbers a step by how many were before it.
    ends_of_epochs = [steps_per_epoch - 1, 2 * steps_per_epoch - 1]
    for name in ("train/loss", "train/accuracy", "val/loss", "val/accuracy"):
        assert logger.steps(name) == ends_of_epochs, name
    ends_of_stacks = [
        epoch * steps_per_epoch + min(last, steps_per_epoch) - 1
        for epoch in range(2)
        for last in range(groups_per_stack, steps_per_epoch + groups_per_stack, groups_per_stack)
    ]
    assert logger.steps("train/loss_step") == logger.steps("lr") == ends_of_stacks


def test_the_logged_learning_rate_is_the_schedules() -> None:
    logger = InMemoryLogger()

    def halved_each_step(optimizer: Any, num_steps: int) -> Any:
        return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

    model = BaselineClassifier([8], optimizer=partial(SGD, lr=1.0), schedule=halved_each_step)
    fit(model, minibatches_per_stack=4, logger=logger, max_epochs=1)
    # after 4, 8, 12 and 13 steps
    assert logger.values("lr") == [0.5**4, 0.5**8, 0.5**12, 0.5**13]


@pytest.mark.parametrize("groups_per_stack", [1, 9])
@pytest.mark.parametrize(
    ("accumulate", "call", "step", "epoch"),
    [(1, 0, 1, 1), (1, 13, 14, 2), (3, 12, 5, 1), (3, 13, 6, 2)],
)
def test_a_loss_that_is_not_finite_ends_the_training_and_its_step_is_named(
    accumulate: int, call: int, step: int, epoch: int, groups_per_stack: int
) -> None:
    model = BaselineClassifier([8], optimizer=ADAM, accumulate_grad_batches=accumulate)
    model.network = SpoiltAt(call, math.nan)
    expected = rf"loss became nan at step {step} \(epoch {epoch}\): the training has diverged; "
    with pytest.raises(DigitsError, match=expected):
        fit(model, minibatches_per_stack=groups_per_stack * accumulate)


def test_the_same_seed_trains_the_same_network_whatever_else_draws_numbers() -> None:
    class Dice(Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            torch.rand(7)

    models = []
    for callbacks in ([], [Dice()]):
        torch.manual_seed(0)
        models.append(TwoLayers(dropout_rate=0.5, optimizer=ADAM))
        fit(models[-1], 3, callbacks=callbacks)
    assert same_weights(models[0].network, models[1].network)
