"""The training logic that all networks share."""

import inspect
import itertools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric

from digits.data.batches import Batch
from digits.models import stepping
from digits.models.evaluated import EvaluatedClassifier, accuracy_metric
from digits.models.weight_decay import decay_groups
from digits.randomness import device_generator, draw_seed

OptimizerFactory = Callable[..., Optimizer]
ScheduleFactory = Callable[[Optimizer, int], LRScheduler | None]

AUGMENTATION = 1
"""Keeps what an image is changed by apart from what the network draws in the same step."""


class Classifier(EvaluatedClassifier):
    """A network for images of digits, trained with cross-entropy.

    A subclass takes its own options as keyword arguments (plain values: they are written into every
    checkpoint), hands `**training` on to this class, and sets `self.network`: images (batch, 1, 28,
    28) to logits (batch, 10).

    **Why training is fast.** What Lightning does for each batch (hooks, progress, logging,
    closures) costs as much as a step of a small network. So one batch of Lightning's is a *stack*
    of many minibatches, and `training_step` takes one optimizer step for each of them. The training
    itself is unchanged: the losses are those of Lightning's automatic optimization to the last bit,
    and `global_step` counts optimizer steps.

    Args:
        optimizer: makes the optimizer from the parameters; `None` for a model that is only
            evaluated.
        schedule: makes the learning rate schedule from the optimizer and the number of optimizer
            steps.
        accumulate_grad_batches: minibatches whose gradients are averaged for one optimizer step.
        gradient_clip_val: the largest allowed norm (or absolute value) of the gradient; `None` for
            no limit.
        gradient_clip_algorithm: "norm" or "value".
        label_smoothing: share of each label, in [0, 1), that is spread evenly over all classes
            (Szegedy et al., "Rethinking the Inception architecture", CVPR 2016); in training only.
        decay_biases: whether the optimizer's weight decay is for biases and normalization layers,
            too; see `decay_groups`.
        compile: whether torch.compile makes machine code of the network; worth its minute for large
            networks and long runs. Checkpoints are the same either way.
        seed: together with the step, what the random draws of the training depend on.
    """

    def __init__(
        self,
        *,
        optimizer: OptimizerFactory | None = None,
        schedule: ScheduleFactory | None = None,
        accumulate_grad_batches: int = 1,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str = "norm",
        label_smoothing: float = 0.0,
        decay_biases: bool = True,
        compile: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.save_hyperparameters(ignore=list(inspect.signature(Classifier).parameters))
        self.optimizer_factory, self.schedule_factory = optimizer, schedule
        self.accumulate_grad_batches = accumulate_grad_batches
        self.gradient_clip_val = gradient_clip_val
        self.gradient_clip_algorithm = gradient_clip_algorithm
        self.label_smoothing, self.decay_biases = label_smoothing, decay_biases
        self.compile_network = compile
        self.seed = seed
        self.train_loss, self.train_accuracy = MeanMetric(), accuracy_metric()
        self._epoch_logged = -1
        self.num_accumulated = 0  # minibatches since the last step

    def setup(self, stage: str) -> None:
        """Compiles the network only: a compiled training step would break `self.log`."""
        if self.compile_network and stage == "fit":
            self.network.compile()

    def training_step(self, stack: Batch, batch_idx: int) -> None:
        """Takes one optimizer step for each minibatch (or group of them) of the stack.

        Raises:
            DigitsError: a loss is not finite; the step is named.
        """
        optimizer, scheduler = self.optimizers(), self.lr_schedulers()
        assert isinstance(optimizer, LightningOptimizer) and not isinstance(scheduler, list)
        backward: Callable[[Tensor], None] = Tensor.backward
        take_step: Callable[[], Any] = optimizer.optimizer.step
        if through_lightning := stepping.lightning_takes_part(self):
            backward, take_step = self.manual_backward, optimizer.step
        parameters = list(self.parameters())
        generator, seed, rank = device_generator(self.device), self.seed, self.global_rank
        accumulate = self.accumulate_grad_batches
        first_step = step = self.global_step
        num_minibatches = stack.num_minibatches()
        if self.trainer.max_steps >= 0:  # Lightning itself looks at this limit only between stacks
            num_left = (self.trainer.max_steps - step) * accumulate - self.num_accumulated
            num_minibatches = min(num_minibatches, num_left)
        losses, logits, steps, norm = [], [], [], None

        def draws(*purpose: int) -> torch.Generator:
            return generator.manual_seed(
                draw_seed(seed, step, self.num_accumulated, rank, *purpose)
            )

        minibatches = stack.minibatches(lambda: draws(AUGMENTATION))
        for images, labels in itertools.islice(minibatches, num_minibatches):
            draws()
            output = self.forward(images)
            loss = F.cross_entropy(output, labels, label_smoothing=self.label_smoothing)
            backward(loss / accumulate if accumulate > 1 else loss)
            losses.append(loss.detach())
            logits.append(output.detach())
            steps.append(step + 1)
            self.num_accumulated += 1
            if last := len(losses) == num_minibatches:
                norm = stepping.gradient_norm(self.trainer, parameters)
            if self.num_accumulated == accumulate or (last and self.trainer.is_last_batch):
                if self.gradient_clip_val:
                    self.clip_gradients(
                        optimizer.optimizer, self.gradient_clip_val, self.gradient_clip_algorithm
                    )
                take_step()
                for parameter in parameters:
                    parameter.grad = None
                if scheduler is not None:
                    scheduler.step()
                step += 1
                self.num_accumulated = 0
        stepping.count_steps(self.trainer, step - first_step, through_lightning)
        self._log_stack(stack, torch.stack(losses), torch.cat(logits), steps, norm)

    def _log_stack(
        self,
        stack: Batch,
        losses: Tensor,
        logits: Tensor,
        steps: list[int],
        grad_norm: Tensor | None,
    ) -> None:
        stepping.check_finite(losses, steps, self.current_epoch)
        sizes = torch.full_like(losses, stack.batch_size)
        sizes[-1] = len(logits) - stack.batch_size * (len(losses) - 1)
        self.train_loss.update(losses, sizes)
        self.train_accuracy.update(logits, stack.labels[: len(logits)])
        # `self.log` takes half a millisecond a value. Once an epoch is enough for metrics, which
        # Lightning computes at the epoch's end; the values of a step go to the loggers directly.
        metrics = {"train/loss": self.train_loss, "train/accuracy": self.train_accuracy}
        if self._epoch_logged != self.current_epoch:
            self._epoch_logged = self.current_epoch
            self.log_dict(metrics, on_step=False, on_epoch=True, batch_size=1, logger=False)
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        values = {"train/loss_step": losses.mean(), "lr": rate}
        if grad_norm is not None:
            values["grad_norm"] = grad_norm
        if self.trainer.is_last_batch or self.global_step == self.trainer.max_steps:
            # Lightning logs them after the checkpoint, between which the process may be killed.
            values |= {name: metric.compute() for name, metric in metrics.items()}
        for logger in self.loggers:
            logger.log_metrics(values, step=self.global_step - 1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the seed, which may have been drawn, and what `digits.load` needs."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["seed"] = self.seed
        checkpoint["model"], checkpoint["precision"] = self.class_path, self.trainer.precision

    @property
    def class_path(self) -> str:
        """What the network's class is imported by."""
        return f"{type(self).__module__}.{type(self).__qualname__}"

    def configure_optimizers(self) -> Any:
        """Makes the optimizer and, unless the learning rate is constant, its schedule by step."""
        assert self.optimizer_factory is not None, "this model was made without an optimizer"
        parameters = self.parameters()
        optimizer = self.optimizer_factory(
            parameters if self.decay_biases else decay_groups(parameters)
        )
        schedule = self.schedule_factory and self.schedule_factory(optimizer, self.num_steps())
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def num_steps(self) -> int:
        """Returns the number of optimizer steps of the whole training."""
        return stepping.planned_steps(self.trainer, self.accumulate_grad_batches)
