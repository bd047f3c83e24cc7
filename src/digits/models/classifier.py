"""What all classifiers share: how they are trained, and how they are measured."""

import inspect
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torchmetrics import CatMetric, MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from digits.data.batches import Batch
from digits.data.datamodule import MNISTDataModule
from digits.data.datasets import NUM_CLASSES
from digits.errors import DigitsError
from digits.models.networks import recompute_batch_norm
from digits.models.regularization import decay_groups, virtual_adversarial_loss
from digits.models.schedules import make_schedule, refused_in_one_line
from digits.randomness import AUGMENTATION, device_generator, draw_seed

STEP_HOOKS = (
    *("backward", "on_before_backward", "on_after_backward", "configure_gradient_clipping"),
    *("optimizer_step", "on_before_optimizer_step", "on_before_zero_grad"),
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
        optimizer: Callable[..., Optimizer] | None = None,
        schedule: Callable[..., LRScheduler | None] | None = None,
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
        self.train_loss, self.val_loss, self.test_loss = (MeanMetric() for _ in range(3))
        self.train_accuracy, self.val_accuracy, self.test_accuracy = (
            MulticlassAccuracy(num_classes, average="micro", validate_args=False) for _ in range(3)
        )
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
    def _datamodule(self) -> Any:
        # The trainer's, since callbacks that average weights copy this module with all it holds.
        trainer: Any = self.trainer
        return trainer.datamodule

    @property
    def _stacks(self) -> MNISTDataModule | None:
        return self._datamodule if self._on_stacks else None

    def minibatches(
        self, batch: Batch, draws: Callable[[], torch.Generator] | None = None
    ) -> Iterator[Batch]:
        """Return the minibatches of a batch of Lightning's; see `MNISTDataModule.minibatches`."""
        stacks = self._stacks
        return stacks.minibatches(batch, draws) if stacks else iter([batch])

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
        optimizer: Any = self.optimizers()  # one of each, or this step is overridden
        scheduler: Any = self.lr_schedulers()
        if scheduler is not None and self.trainer.lr_scheduler_configs[0].interval == "epoch":
            self._epochs_schedule, scheduler = scheduler, None
        backward: Callable[[Tensor], None] = Tensor.backward
        take_step: Callable[[], Any] = optimizer.optimizer.step
        # With fp16, gradients are multiplied by a varying scale.
        is_scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        if through_lightning := is_scaled or _lightning_takes_part(self):
            backward, take_step = self.manual_backward, optimizer.step
        parameters = list(self.parameters())
        generator, seed, rank = device_generator(self.device), self.seed, self.global_rank
        accumulate, stacks = self.accumulate_grad_batches, self._stacks
        first_step = step = self.global_step
        num_minibatches = math.ceil(len(batch[1]) / stacks.batch_size) if stacks else 1
        if self.trainer.max_steps >= 0:  # Lightning itself looks at this limit only between batches
            num_left = (self.trainer.max_steps - step) * accumulate - self._num_accumulated
            num_minibatches = min(num_minibatches, num_left)
        # Of another loader's normalization nothing is known.
        pixel_unit = 1 / (getattr(self._datamodule, "std", None) or 1.0)
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
                    self, images, output, self.vat_epsilon, pixel_unit
                )
            backward(loss / accumulate if accumulate > 1 else loss)
            losses.append(loss.detach())
            logits.append(output.detach())
            sizes.append(len(labels))
            steps.append(step + 1)
            self._num_accumulated += 1
            last = len(losses) == num_minibatches
            if last and self.loggers and not is_scaled:
                norm = nn.utils.get_total_norm(x.grad for x in parameters if x.grad is not None)
            if self._num_accumulated == accumulate or (last and self.trainer.is_last_batch):
                if self.gradient_clip_val:
                    self.clip_gradients(
                        optimizer.optimizer, self.gradient_clip_val, self.gradient_clip_algorithm
                    )
                with refused_in_one_line("optim", type(optimizer.optimizer)):
                    take_step()
                for parameter in parameters:
                    parameter.grad = None
                if scheduler is not None:
                    with refused_in_one_line("schedule", type(scheduler)):
                        scheduler.step()
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
        for logger in self.loggers:
            numbers = {name: float(value) for name, value in values.items()}  # not all take tensors
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
        self.log_dict({f"{part}/loss": loss, f"{part}/accuracy": accuracy}, batch_size=1)
        # Lightning takes a metric of this name for the loggers' x axis; it would count stacks. A
        # test's point lies behind all others, where a resumed run's logger forgets it.
        step = max(self.global_step - 1, 0) if part == "val" else self.global_step
        self.log("step", float(step), reduce_fx="max", batch_size=1, sync_dist=True)
        return logits

    def _recompute_batch_norm(self) -> None:
        data = self._datamodule
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
                with refused_in_one_line("schedule", type(schedule)):
                    schedule.step(float(metrics[monitor]))
        elif schedule is not None:
            with refused_in_one_line("schedule", type(schedule)):
                schedule.step()

    def on_validation_epoch_start(self) -> None:
        self._epoch_validated = self.current_epoch
        self._recompute_batch_norm()

    def on_test_epoch_start(self) -> None:
        self._logits.reset()

    def on_validation_epoch_end(self) -> None:
        found: Any = self.val_accuracy  # counts by integers; bf16-true rounds other metrics' sums
        num_images = self.trainer.strategy.reduce(found.tp + found.fp, reduce_op="sum")
        self.num_images["val"] = int(num_images)

    def on_test_epoch_end(self) -> None:
        collected = torch.as_tensor(self._logits.compute()).cpu()
        # The first process had images 0, n, 2n, ..., the second one 1, n + 1, ..., and so on.
        places = (torch.arange(len(collected)) % self.trainer.world_size).argsort(stable=True)
        self.test_logits = torch.empty_like(collected).index_copy_(0, places, collected)
        self.num_images["test"] = len(collected)

    def configure_optimizers(self) -> Any:
        assert self.optimizer_factory, "this model was made without an optimizer"
        parameters, interval = list(self.parameters()), self.schedule_interval
        with refused_in_one_line("optim", self.optimizer_factory):
            optimizer = self.optimizer_factory(
                parameters if self.decay_biases else decay_groups(parameters)
            )
        configured: dict[str, Any] = {"optimizer": optimizer}
        if self.schedule_factory is None:
            return configured
        num_steps = self.trainer.max_epochs if interval == "epoch" else self.num_steps()
        with refused_in_one_line("schedule", self.schedule_factory):
            schedule = make_schedule(self.schedule_factory, optimizer, num_steps or 1)
        if isinstance(schedule, ReduceLROnPlateau):
            interval = "epoch"
        if schedule is not None:
            configured["lr_scheduler"] = {"scheduler": schedule, "interval": interval}
        return configured

    def num_steps(self) -> int:
        """Return the number of optimizer steps of the whole training."""
        trainer, stacks = self.trainer, self._stacks
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
            accepted = inspect.signature(kind).parameters
            arguments = {name: self.hparams[name] for name in self.hparams if name in accepted}
            return {"model": f"{kind.__module__}.{kind.__qualname__}", "arguments": arguments}
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


def _lightning_takes_part(model: LightningModule) -> bool:
    """Say whether Lightning has anything to do in each backward pass and optimizer step.

    Otherwise its calls, 5 % of the time of a small network's step, are left out.
    """
    trainer: Any = model.trainer
    listeners = [(model, LightningModule), *((each, Callback) for each in trainer.callbacks)]
    hooked = any(
        getattr(type(listener), hook, None) is not getattr(base, hook, None)
        for listener, base in listeners
        for hook in STEP_HOOKS
    )
    single = isinstance(trainer.strategy, SingleDeviceStrategy)
    profiled = not isinstance(trainer.profiler, PassThroughProfiler)
    return hooked or profiled or not single


def _count_steps(trainer: Trainer, num_steps: int) -> None:
    # Lightning has no public way to count them, and each step through it would cost 5 % (above).
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    for tracker in (progress.total, progress.current):
        tracker.ready += num_steps
        tracker.completed += num_steps


def _check_finite(losses: Tensor, steps: list[int], epoch: int) -> None:
    for loss, step in zip(losses.tolist(), steps, strict=True):
        if not math.isfinite(loss):
            raise DigitsError(
                f"the training loss became {loss} at step {step} (epoch {epoch + 1}): the training "
                "has diverged; try a smaller optim.lr, or trainer.gradient_clip_val=1"
            )
