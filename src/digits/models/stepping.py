"""Where Lightning's loop meets ours: who takes a step, and how steps are counted."""

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.plugins import MixedPrecision, Precision
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor
from torch.nn import Parameter

from digits.errors import DigitsError

MODEL_HOOKS = ("backward", "optimizer_step", "configure_gradient_clipping")
HOOKS = (
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_before_zero_grad",
)


def lightning_takes_part(model: LightningModule) -> bool:
    """Says whether Lightning has anything to do in each backward pass and optimizer step.

    It has, if gradients are scaled (fp16) or exchanged between processes, if a callback or the
    model itself wants to be called, or if a profiler listens. Otherwise its calls, 5 % of the time
    of a small network's step, can be left out.
    """
    trainer = model.trainer
    precision = trainer.precision_plugin
    unscaled = type(precision) is Precision or (
        type(precision) is MixedPrecision and precision.scaler is None
    )
    hooked = _overrides(model, LightningModule, HOOKS + MODEL_HOOKS) or any(
        _overrides(callback, Callback, HOOKS)
        for callback in trainer.callbacks  # type: ignore[attr-defined]
    )
    single = isinstance(trainer.strategy, SingleDeviceStrategy)
    profiled = not isinstance(trainer.profiler, PassThroughProfiler)  # type: ignore[attr-defined]
    return hooked or profiled or not (unscaled and single)


def gradient_norm(trainer: Trainer, parameters: list[Parameter]) -> Tensor | None:
    """Returns the norm of all gradients together, before any clipping, for those who log it.

    `None` if nobody does, and for fp16, whose gradients are multiplied by a varying scale.
    """
    scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
    if scaled or not trainer.loggers:
        return None
    gradients = [each.grad for each in parameters if each.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def _overrides(listener: object, kind: type, hooks: tuple[str, ...]) -> bool:
    return any(
        getattr(type(listener), hook, None) is not getattr(kind, hook, None) for hook in hooks
    )


def count_steps(trainer: Trainer, num_steps: int, counted_by_lightning: bool) -> None:
    """Tells Lightning that one of its batches was `num_steps` optimizer steps.

    `global_step` is the number of completed steps. Whatever is logged, by whom ever, is logged at
    `_batches_that_stepped`, which Lightning increments by one after each of its batches; moving it
    on makes the x axis of every curve count optimizer steps.
    """
    loop = trainer.fit_loop.epoch_loop
    loop._batches_that_stepped += num_steps - 1
    if not counted_by_lightning:
        progress = loop.manual_optimization.optim_step_progress
        for tracker in (progress.total, progress.current):
            tracker.ready += num_steps
            tracker.completed += num_steps


def check_finite(losses: Tensor, steps: list[int], epoch: int) -> None:
    """Ends a training that has diverged.

    Args:
        losses: of some minibatches, float (n,).
        steps: the optimizer step of each, for the message.
        epoch: counted from 0.

    Raises:
        DigitsError: a loss is infinite or no number.
    """
    finite = losses.isfinite()
    if not finite.all():
        index = int((~finite).nonzero()[0])
        raise DigitsError(
            f"the training loss became {losses[index].item()} at step {steps[index]} "
            f"(epoch {epoch + 1}): "
            "the training has diverged; try a smaller optim.lr, or trainer.gradient_clip_val=1"
        )


def planned_steps(trainer: Trainer, accumulate: int) -> int:
    """Returns the number of optimizer steps of a whole training.

    Lightning's own `estimated_stepping_batches` counts its batches, which are stacks here, and
    loads the training data anew, which drops the state of a resumed loader.

    Args:
        trainer: with its data module.
        accumulate: minibatches for one optimizer step.
    """
    per_epoch: int = trainer.datamodule.num_minibatches()  # type: ignore[attr-defined]
    limit = trainer.limit_train_batches
    if isinstance(limit, float):
        per_epoch = int(per_epoch * limit)
    elif limit is not None:
        per_epoch = min(per_epoch, limit)
    num_steps = -(-per_epoch // accumulate) * (trainer.max_epochs or 1)
    return num_steps if trainer.max_steps < 0 else min(num_steps, trainer.max_steps)
