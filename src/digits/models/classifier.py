"""What all classifiers share: how they are trained, and how they are measured."""

import inspect
import itertools
import math
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.plugins import MixedPrecision, Precision
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torchmetrics import CatMetric, MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from digits.config.targets import own_place
from digits.data.batches import Batch
from digits.data.datamodule import MNISTDataModule
from digits.data.datasets import NUM_CLASSES
from digits.errors import DigitsError
from digits.models.networks import recompute_batch_norm
from digits.models.schedules import make_schedule
from digits.models.vat import virtual_adversarial_loss
from digits.randomness import AUGMENTATION, device_generator, draw_seed
from digits.text import first_line

OptimizerFactory = Callable[..., Optimizer]
ScheduleFactory = Callable[..., LRScheduler | None]

STEP_HOOKS = (
    *("backward", "optimizer_step", "configure_gradient_clipping"),
    *("on_before_backward", "on_after_backward"),
    *("on_before_optimizer_step", "on_before_zero_grad"),
)
"""What Lightning calls in each training step if a model or a callback has it."""


class Classifier(LightningModule):
    """A network for images of digits, trained with cross-entropy.

    A subclass takes its own options as keyword arguments (plain values: they are written into every
    checkpoint), hands `**training` on to this class, and sets `self.network`: normalized images
    (batch, 1, 28, 28) to logits (batch, `num_classes`). It trains on any loader of `(images,
    labels)`, one optimizer step a batch.

    **Why training is fast.** What Lightning does for each batch (hooks, progress, logging,
    closures) costs as much as a step of a small network. So after `train_on_stacks` one batch of
    Lightning's is a *stack* of many minibatches, and `training_step` takes one optimizer step for
    each of them. The losses are those of Lightning's automatic optimization to the last bit.

    Args:
        optimizer: makes the optimizer from the parameters; not needed to evaluate.
        schedule: makes the learning rate schedule from the optimizer, see `make_schedule`.
        schedule_interval: after what the schedule takes a step: "step" or "epoch".
        schedule_monitor: the metric that `ReduceLROnPlateau` looks at, each epoch.
        accumulate_grad_batches: minibatches whose gradients are averaged for one optimizer step.
        gradient_clip_val: the largest norm (or absolute value) of the gradient; `None`: any.
        gradient_clip_algorithm: "norm" or "value".
        label_smoothing: share of each label, in [0, 1), that is spread evenly over all classes
            (Szegedy et al., "Rethinking the Inception architecture", CVPR 2016); in training only.
        decay_biases: whether weight decay is for biases and normalization layers, too.
        vat_epsilon: of virtual adversarial training, see `virtual_adversarial_loss`, which is added
            to the cross-entropy; in units of pixels in [0, 1]; 0: off.
        exact_batch_norm: whether, before each validation and at the end of each epoch, batch
            normalization's averages are computed again, see `recompute_batch_norm`, over training
            images as they are; so what is validated is what is saved and tested.
        compile: use torch.compile: worth its minute for large networks and long runs.
        seed: what, with the step, the random draws of the training depend on.
        num_classes: of the data.

    Attributes:
        init_from: what weights it was given to start from, see `digits.training.build.start_from`.
        num_images: images of "val" and "test" that were evaluated last, in all processes.
        test_logits: of the latest test, float32 (n, classes) in the images' order, on the CPU.
    """

    network: nn.Module
    multiply_adds = 0
    """Of an image's forward pass, once the recipe has tried the network."""

    def __init__(
        self,
        *,
        optimizer: OptimizerFactory | None = None,
        schedule: ScheduleFactory | None = None,
        schedule_interval: str = "step",
        schedule_monitor: str = "val/loss",
        accumulate_grad_batches: int = 1,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str = "norm",
        label_smoothing: float = 0.0,
        decay_biases: bool = True,
        vat_epsilon: float = 0.0,
        exact_batch_norm: bool = False,
        compile: bool = False,
        seed: int = 0,
        num_classes: int = NUM_CLASSES,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.save_hyperparameters(ignore=list(inspect.signature(Classifier).parameters))
        self.optimizer_factory, self.schedule_factory = optimizer, schedule
        self.schedule_interval, self.schedule_monitor = schedule_interval, schedule_monitor
        self.accumulate_grad_batches = accumulate_grad_batches
        self.gradient_clip_val = gradient_clip_val
        self.gradient_clip_algorithm = gradient_clip_algorithm
        self.label_smoothing, self.decay_biases = label_smoothing, decay_biases
        self.vat_epsilon, self.exact_batch_norm = vat_epsilon, exact_batch_norm
        self.compile_network, self.seed, self.num_classes = compile, seed, num_classes
        self.train_loss, self.train_accuracy = MeanMetric(), _accuracy(num_classes)
        self.val_loss, self.val_accuracy = MeanMetric(), _accuracy(num_classes)
        self.test_loss, self.test_accuracy = MeanMetric(), _accuracy(num_classes)
        self.init_from: str | None = None
        self.num_images = {"val": 0, "test": 0}
        self.test_logits = torch.empty(0, num_classes)
        self._logits = CatMetric(nan_strategy="disable")
        self._on_stacks, self._epoch_logged, self._epoch_validated = False, -1, -1
        self._epochs_schedule: LRScheduler | None = None
        self._num_accumulated = 0  # minibatches since the last optimizer step

    def train_on_stacks(
        self, datamodule: MNISTDataModule, minibatches_per_stack: int | None = None
    ) -> None:
        """Have a data module give many minibatches at once, as bytes, when it trains this model."""
        datamodule.give_stacks(minibatches_per_stack)
        self._on_stacks = True

    @property
    def _stacks(self) -> MNISTDataModule | None:
        # The trainer's, since callbacks that average weights copy this module with all it holds.
        trainer: Any = self.trainer
        return trainer.datamodule if self._on_stacks else None

    @property
    def _pixel_unit(self) -> float:
        # Of another loader's normalization nothing is known.
        trainer: Any = self.trainer
        return 1 / (getattr(trainer.datamodule, "std", None) or 1.0)

    def minibatches(
        self, batch: Batch, draws: Callable[[], torch.Generator] | None = None
    ) -> Iterator[Batch]:
        """Yield the minibatches of a batch of Lightning's; see `MNISTDataModule.minibatches`."""
        if stacks := self._stacks:
            yield from stacks.minibatches(batch, draws)
        else:
            yield batch

    def forward(self, images: Tensor) -> Tensor:
        """Map normalized images (batch, 1, 28, 28) to logits (batch, classes)."""
        logits: Tensor = self.network(images.to(self.dtype))  # trainer.precision=bf16-true, 64-true
        return logits

    def setup(self, stage: str) -> None:
        # The network only: a compiled training step would break `self.log`.
        if self.compile_network and stage == "fit":
            self.network.compile()

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Take one optimizer step for each minibatch (or group of them) of a batch."""
        optimizer, scheduler = self.optimizers(), self.lr_schedulers()
        if not isinstance(optimizer, LightningOptimizer) or isinstance(scheduler, list):
            raise DigitsError(
                f"{self.class_path} has several optimizers or schedules, and Classifier's "
                "training_step takes one of each; write a training_step of its own"
            )
        if scheduler is not None and self.trainer.lr_scheduler_configs[0].interval == "epoch":
            self._epochs_schedule, scheduler = scheduler, None
        backward: Callable[[Tensor], None] = Tensor.backward
        take_step: Callable[[], Any] = optimizer.optimizer.step
        if through_lightning := _lightning_takes_part(self):
            backward, take_step = self.manual_backward, optimizer.step
        parameters = list(self.parameters())
        generator, seed, rank = device_generator(self.device), self.seed, self.global_rank
        accumulate = self.accumulate_grad_batches
        first_step = step = self.global_step
        stacks = self._stacks
        num_minibatches = math.ceil(len(batch[1]) / stacks.batch_size) if stacks else 1
        if self.trainer.max_steps >= 0:  # Lightning itself looks at this limit only between batches
            num_left = (self.trainer.max_steps - step) * accumulate - self._num_accumulated
            num_minibatches = min(num_minibatches, num_left)
        losses, logits, sizes, steps, norm = [], [], [], [], None

        def seeded(*purpose: int) -> torch.Generator:
            return generator.manual_seed(
                draw_seed(seed, step, self._num_accumulated, rank, *purpose)
            )

        minibatches = self.minibatches(batch, lambda: seeded(AUGMENTATION))
        for images, labels in itertools.islice(minibatches, num_minibatches):
            seeded()
            output = self.forward(images)
            loss = F.cross_entropy(output, labels, label_smoothing=self.label_smoothing)
            if self.vat_epsilon:
                loss = loss + virtual_adversarial_loss(
                    self, images, output, self.vat_epsilon, self._pixel_unit
                )
            backward(loss / accumulate if accumulate > 1 else loss)
            losses.append(loss.detach())
            logits.append(output.detach())
            sizes.append(len(labels))
            steps.append(step + 1)
            self._num_accumulated += 1
            if last := len(losses) == num_minibatches:
                norm = _gradient_norm(self.trainer, parameters)
            if self._num_accumulated == accumulate or (last and self.trainer.is_last_batch):
                if self.gradient_clip_val:
                    self.clip_gradients(
                        optimizer.optimizer, self.gradient_clip_val, self.gradient_clip_algorithm
                    )
                try:
                    take_step()
                except Exception as error:
                    if _is_of(error, optimizer.optimizer):
                        raise _refusal("optim", type(optimizer.optimizer), error) from error
                    raise
                for parameter in parameters:
                    parameter.grad = None
                if scheduler is not None:
                    _step_schedule(scheduler)
                step += 1
                self._num_accumulated = 0
        if not through_lightning:
            _count_steps(self.trainer, step - first_step)
        found = torch.stack(losses)
        _check_finite(found, steps, self.current_epoch)
        self.train_loss.update(found, found.new_tensor(sizes))
        self.train_accuracy.update(torch.cat(logits), batch[1][: sum(sizes)])
        self._log_training(found.mean(), norm)

    def _log_training(self, loss: Tensor, grad_norm: Tensor | None) -> None:
        # `self.log` takes half a millisecond a value. Once an epoch is enough for metrics, which
        # Lightning computes at the epoch's end; the values of a step go to the loggers directly.
        metrics = {"train/loss": self.train_loss, "train/accuracy": self.train_accuracy}
        if self._epoch_logged != self.current_epoch:
            self._epoch_logged = self.current_epoch
            self.log_dict(metrics, on_step=False, on_epoch=True, batch_size=1, logger=False)
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        values = {"train/loss_step": loss, "lr": rate}
        if grad_norm is not None:
            values["grad_norm"] = grad_norm
        if self.trainer.is_last_batch or self.global_step == self.trainer.max_steps:
            # Lightning logs them after the checkpoint, between which the process may be killed.
            values |= {name: metric.compute() for name, metric in metrics.items()}
        if not self.loggers:
            return
        numbers = {name: float(value) for name, value in values.items()}  # as not all take tensors
        for logger in self.loggers:
            logger.log_metrics(numbers, step=self.global_step - 1)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate("val", batch, self.val_loss, self.val_accuracy)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._logits.update(self._evaluate("test", batch, self.test_loss, self.test_accuracy))

    def predict_step(self, batch: Batch | Tensor, batch_idx: int) -> Tensor:
        """Return the logits of a batch of images, with or without labels."""
        return self.forward(batch if isinstance(batch, Tensor) else batch[0])

    def _evaluate(
        self, part: str, batch: Batch, loss: MeanMetric, accuracy: MulticlassAccuracy
    ) -> Tensor:
        images, labels = batch
        logits = self.forward(images)
        loss.update(F.cross_entropy(logits, labels, reduction="none"))
        accuracy.update(logits, labels)
        self.num_images[part] += len(labels)
        self.log_dict({f"{part}/loss": loss, f"{part}/accuracy": accuracy}, batch_size=1)
        # Lightning takes a metric of this name for the loggers' x axis; it would count stacks. A
        # test's point lies behind all others, where a resumed run's logger forgets it.
        step = max(self.global_step - 1, 0) if part == "val" else self.global_step
        self.log("step", float(step), reduce_fx="max", batch_size=1, sync_dist=True)
        return logits

    def _recompute_batch_norm(self) -> None:
        data = getattr(self.trainer, "datamodule", None)
        if self.exact_batch_norm and isinstance(data, MNISTDataModule):
            batches = (images.to(self.dtype) for images, _ in data.clean_train_dataloader())
            recompute_batch_norm(self.network, batches)

    def on_train_epoch_end(self) -> None:
        if self._epoch_validated != self.current_epoch:
            self._recompute_batch_norm()
        schedule, self._epochs_schedule = self._epochs_schedule, None
        if isinstance(schedule, ReduceLROnPlateau):
            metrics, monitor = self.trainer.callback_metrics, self.schedule_monitor
            is_new = monitor.startswith("train/") or self._epoch_validated == self.current_epoch
            if is_new:  # else the metric is of an earlier validation
                if monitor not in metrics:
                    raise DigitsError(
                        f"schedule.monitor={monitor} is not a metric of {self.class_path}; "
                        "try schedule.monitor=val/loss"
                    )
                schedule.step(float(metrics[monitor]))
        elif schedule is not None:
            _step_schedule(schedule)

    def on_validation_epoch_start(self) -> None:
        self.num_images["val"], self._epoch_validated = 0, self.current_epoch
        self._recompute_batch_norm()

    def on_test_epoch_start(self) -> None:
        self.num_images["test"] = 0
        self._logits.reset()

    def on_validation_epoch_end(self) -> None:
        self._count_images("val")

    def on_test_epoch_end(self) -> None:
        self._count_images("test")
        collected = torch.as_tensor(self._logits.compute()).cpu()
        world_size = self.trainer.world_size
        # The first process had images 0, n, 2n, ..., the second one 1, n + 1, ..., and so on.
        places = torch.cat(
            [torch.arange(rank, len(collected), world_size) for rank in range(world_size)]
        )
        self.test_logits = torch.empty_like(collected).index_copy_(0, places, collected)

    def _count_images(self, part: str) -> None:
        # Not by a metric: trainer.precision=bf16-true would round its sum.
        count = torch.tensor(self.num_images[part], device=self.device)
        self.num_images[part] = int(self.trainer.strategy.reduce(count, reduce_op="sum"))

    def configure_optimizers(self) -> Any:
        make_optimizer, interval = self.optimizer_factory, self.schedule_interval
        assert make_optimizer is not None, "this model was made without an optimizer"
        if not any(parameter.requires_grad for parameter in self.parameters()):
            raise DigitsError(
                f"all parameters of {self.class_path} are frozen, so there is nothing to train; "
                "leave requires_grad=True for some"
            )
        parameters = self.parameters()
        try:
            optimizer = make_optimizer(
                parameters if self.decay_biases else decay_groups(parameters)
            )
        except Exception as error:
            raise _refusal("optim", make_optimizer, error) from error
        if self.schedule_factory is None:
            return optimizer
        num_steps = self.trainer.max_epochs if interval == "epoch" else self.num_steps()
        try:
            schedule = make_schedule(self.schedule_factory, optimizer, num_steps or 1)
        except Exception as error:
            raise _refusal("schedule", self.schedule_factory, error) from error
        if schedule is None:
            return optimizer
        if isinstance(schedule, ReduceLROnPlateau):
            interval = "epoch"
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": interval},
        }

    def num_steps(self) -> int:
        """Return the number of optimizer steps of the whole training."""
        trainer = self.trainer
        stacks = self._stacks
        if stacks and stacks.minibatches_per_stack > 1:
            per_epoch = stacks.num_minibatches()
        else:
            _ = trainer.estimated_stepping_batches  # by which Lightning makes and counts the loader
            per_epoch = int(trainer.num_training_batches)
        max_epochs, max_steps = trainer.max_epochs, trainer.max_steps
        if max_epochs is None or max_epochs < 0:
            return max_steps
        num_steps = math.ceil(per_epoch / self.accumulate_grad_batches) * max_epochs
        return num_steps if max_steps < 0 else min(num_steps, max_steps)

    @property
    def class_path(self) -> str:
        return f"{type(self).__module__}.{type(self).__qualname__}"

    def recipe(self) -> dict[str, Any]:
        """Return what a saved model says of its network: the class and its arguments."""
        # Those of digits' own are the plain network's, which loads without Lightning.
        if type(self).__module__ == "digits.models.classifiers":
            kind = type(self.network)
            name = f"{kind.__module__}.{kind.__qualname__}"
            return {"model": name, "arguments": self.network.arguments}
        return {"model": self.class_path, "arguments": dict(self.hparams)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint |= self.recipe()  # with the precision, what `digits.load` needs
        checkpoint["precision"] = self.trainer.precision
        checkpoint["seed"] = self.seed  # which may have been drawn
        checkpoint["init_from"] = self.init_from  # whose file a resumed run does not need
        checkpoint["num_val"] = self.num_images["val"]  # for a run resumed with no epoch left

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.num_images["val"] = checkpoint["num_val"]
        self.init_from = checkpoint.get("init_from")

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        try:
            return super().load_state_dict(state_dict, *args, **options)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise DigitsError(
                f"the checkpoint does not fit the network: {reason}; "
                "resume with the options that it was trained with, or give another name=RUN"
            ) from error


def decay_groups(parameters: Iterable[Tensor]) -> list[dict[str, Any]]:
    """Return groups of parameters for an optimizer: those that weight decay shrinks, the others.

    Matrices and convolution kernels are shrunk; vectors, that is biases and the scales and shifts
    of normalization layers, are not, as in He et al., "Bag of tricks for image classification with
    convolutional neural networks", CVPR 2019, section 3.1.
    """
    every = list(parameters)
    return [
        {"params": [each for each in every if each.ndim > 1]},
        {"params": [each for each in every if each.ndim <= 1], "weight_decay": 0.0},
    ]


def _accuracy(num_classes: int) -> MulticlassAccuracy:
    return MulticlassAccuracy(num_classes, average="micro", validate_args=False)


def _is_of(error: BaseException, optimizer: Optimizer) -> bool:
    """Say whether an error was raised in an optimizer's code, not in a callback's, say."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    module: str = frame.f_globals["__name__"]
    return module.startswith(("torch.", type(optimizer).__module__))


def _step_schedule(schedule: LRScheduler) -> None:
    try:
        schedule.step()
    except Exception as error:
        raise _refusal("schedule", type(schedule), error) from error


def _refusal(group: str, make: Any, error: Exception) -> DigitsError:
    """Return in one line what an optimizer or a schedule objects to."""
    if isinstance(error, DigitsError):
        return error
    maker, place = getattr(make, "func", make), own_place(error)
    works = {"optim": "adam", "schedule": "cosine"}[group]
    advice = f"try {group}={works}"
    if missing := re.search(r"missing \d+ required positional arguments?: '(\w+)'", str(error)):
        advice = f"try +{group}.{missing[1]}=VALUE" if missing[1] != "closure" else advice
    return DigitsError(
        f"{maker.__module__}.{maker.__qualname__} cannot be used here: "
        f"{first_line(error)}" + (f" ({place})" if place else "") + f"; {advice}"
    )


def _lightning_takes_part(model: LightningModule) -> bool:
    """Say whether Lightning has anything to do in each backward pass and optimizer step.

    Otherwise its calls, 5 % of the time of a small network's step, are left out.
    """
    trainer: Any = model.trainer  # whose types declare neither callbacks nor profiler
    precision = trainer.precision_plugin
    unscaled = type(precision) is Precision or (
        type(precision) is MixedPrecision and precision.scaler is None
    )
    listeners = [(model, LightningModule), *((each, Callback) for each in trainer.callbacks)]
    hooked = any(
        getattr(type(listener), hook, None) is not getattr(base, hook, None)
        for listener, base in listeners
        for hook in STEP_HOOKS
    )
    single = isinstance(trainer.strategy, SingleDeviceStrategy)
    profiled = not isinstance(trainer.profiler, PassThroughProfiler)
    return hooked or profiled or not (unscaled and single)


def _count_steps(trainer: Trainer, num_steps: int) -> None:
    # Lightning has no public way to count them, and each step through it would cost 5 % (above).
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    for tracker in (progress.total, progress.current):
        tracker.ready += num_steps
        tracker.completed += num_steps


def _gradient_norm(trainer: Trainer, parameters: list[nn.Parameter]) -> Tensor | None:
    """Return the norm of all gradients together, before any clipping; `None` if nobody logs it."""
    # With fp16, gradients are multiplied by a varying scale.
    if not trainer.loggers or getattr(trainer.precision_plugin, "scaler", None) is not None:
        return None
    return nn.utils.get_total_norm(each.grad for each in parameters if each.grad is not None)


def _check_finite(losses: Tensor, steps: list[int], epoch: int) -> None:
    finite = losses.isfinite()
    if not finite.all():
        index = int((~finite).nonzero()[0])
        raise DigitsError(
            f"the training loss became {losses[index].item()} at step {steps[index]} (epoch "
            f"{epoch + 1}): the training has diverged; try a smaller optim.lr, or "
            "trainer.gradient_clip_val=1"
        )
