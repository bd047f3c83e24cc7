"""Stacks change nothing: losses and weights are those of Lightning's automatic optimization."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fitting import MINIBATCHES, AutomaticTwin, fit, same_weights
from pytorch_lightning import Callback
from torch import Tensor
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from digits.models import BaselineClassifier, Classifier, DropoutClassifier
from digits.models.schedules import onecycle

SEED = 11
ADAM = partial(Adam, lr=0.003)
SGD_NESTEROV = partial(SGD, lr=0.1, momentum=0.9, nesterov=True)


@dataclass
class Case:
    """A training, once with the project's options and once with those of Lightning's Trainer."""

    optimizer: Callable[..., Optimizer] = ADAM
    dropout_rate: float = 0.0
    steps_of_schedule: int | None = None
    stepping: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)
    minibatches_per_stack: int = 5

    def model(self) -> Classifier:
        torch.manual_seed(SEED)
        return DropoutClassifier(
            hidden=[24, 12],
            dropout_rate=self.dropout_rate,
            optimizer=self.optimizer,
            schedule=onecycle if self.steps_of_schedule else None,
            seed=SEED,
            **self.stepping,
        )

    def twin(self, model: Classifier) -> AutomaticTwin:
        return AutomaticTwin(model.network, self.optimizer, self._schedule, SEED)

    @property
    def _schedule(self) -> Callable[[Optimizer], LRScheduler] | None:
        def make(optimizer: Optimizer) -> LRScheduler:
            peak = optimizer.param_groups[0]["lr"]
            return OneCycleLR(optimizer, peak, self.steps_of_schedule)

        return make if self.steps_of_schedule else None


CASES = {
    "fused adam": Case(partial(Adam, lr=0.003, fused=True)),
    "dropout, SGD, onecycle": Case(SGD_NESTEROV, 0.4, steps_of_schedule=2 * MINIBATCHES),
    "three minibatches a step, dropout, onecycle": Case(
        SGD_NESTEROV,
        0.4,
        steps_of_schedule=2 * 5,
        stepping={"accumulate_grad_batches": 3},
        minibatches_per_stack=3,
    ),
    "clipped by norm": Case(SGD_NESTEROV, stepping={"gradient_clip_val": 0.5}),
    "clipped by value": Case(
        SGD_NESTEROV, stepping={"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"}
    ),
    "bfloat16": Case(trainer={"precision": "bf16-mixed"}),
    "bfloat16 throughout": Case(trainer={"precision": "bf16-true"}),
    "an end within an epoch": Case(trainer={"max_steps": 17}),
    "an end within a stack of groups": Case(
        stepping={"accumulate_grad_batches": 3},
        trainer={"max_steps": 8},
        minibatches_per_stack=6,
    ),
}


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Every cross-entropy that is computed, by whomever, in order."""
    found: list[Tensor] = []

    def cross_entropy(*args: Any, **options: Any) -> Tensor:
        loss = original(*args, **options)
        found.append(loss.detach().clone())
        return loss

    original = F.cross_entropy
    monkeypatch.setattr(F, "cross_entropy", cross_entropy)
    return found


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_losses_and_weights_are_those_of_automatic_optimization(
    case: Case, losses: list[Tensor]
) -> None:
    model = case.model()
    twin = case.twin(model)
    ours = fit(model, case.minibatches_per_stack, **case.trainer)
    our_losses = torch.stack(losses)
    losses.clear()
    theirs = fit(twin, **case.stepping | case.trainer)
    assert our_losses.equal(torch.stack(losses))
    assert same_weights(model.network, twin.network)
    assert ours.global_step == theirs.global_step
    assert ours.current_epoch == theirs.current_epoch


@pytest.mark.parametrize("case", ["three minibatches a step, dropout, onecycle", "bfloat16"])
def test_the_size_of_stacks_changes_no_bit(case: str) -> None:
    chosen = CASES[case]
    group = chosen.stepping.get("accumulate_grad_batches", 1)
    models = []
    for groups_per_stack in (0, 1, 3, 8):  # 0: (images, labels), one minibatch a batch
        model = chosen.model()
        fit(model, groups_per_stack * group, **chosen.trainer)
        models.append(model)
    assert all(same_weights(models[0].network, each.network) for each in models[1:])


class Listener(Callback):
    """Count what Lightning calls for each minibatch or step."""

    def __init__(self) -> None:
        self.num_backwards = self.num_steps = self.num_after_backwards = 0

    def on_before_backward(self, *_: Any) -> None:
        self.num_backwards += 1

    def on_after_backward(self, *_: Any) -> None:
        self.num_after_backwards += 1

    def on_before_optimizer_step(self, *_: Any) -> None:
        self.num_steps += 1


class ListeningClassifier(DropoutClassifier):
    """Count its own optimizer steps."""

    num_heard = 0

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        self.num_heard += 1


def test_callbacks_and_models_hear_of_each_minibatch_and_step_and_change_no_bit() -> None:
    case, listener = CASES["three minibatches a step, dropout, onecycle"], Listener()
    plain, heard = case.model(), case.model()
    fit(plain, minibatches_per_stack=6)
    trainer = fit(heard, minibatches_per_stack=6, callbacks=[listener])
    listening = ListeningClassifier(hidden=[8], optimizer=ADAM)
    assert fit(listening, minibatches_per_stack=5).global_step == listening.num_heard
    assert listener.num_backwards == listener.num_after_backwards == 2 * MINIBATCHES
    assert listener.num_steps == trainer.global_step == 2 * 5
    assert same_weights(plain.network, heard.network)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize(
    "options",
    [
        {"max_epochs": 3},
        {"max_steps": 4},
        {"limit_train_batches": 6},
        {"limit_train_batches": 0.5},
    ],
    ids=str,
)
def test_the_announced_number_of_steps_is_the_number_that_is_taken(
    options: dict[str, Any], accumulate: int
) -> None:
    model = BaselineClassifier([8], optimizer=ADAM, accumulate_grad_batches=accumulate)
    # Lightning's limits count its own batches, which are minibatches then if nobody says otherwise.
    minibatches_per_stack = None if "limit_train_batches" in options else 6
    trainer = fit(model, minibatches_per_stack, **options)
    announced = model.num_steps()
    assert trainer.global_step == announced
