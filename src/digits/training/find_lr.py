"""The learning-rate range test: one short training, in which the learning rate grows."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.loggers.logger import DummyLogger
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from digits.errors import DigitsError
from digits.process import torch_threads
from digits.training.build import make_datamodule, make_model, make_trainer, num_threads, start_from
from digits.training.console import quieten_lightning

DIVERGED = 4
"""Times the smallest smoothed loss, from which on it is not worth going on."""
FELL = 0.95
"""Of the first smoothed loss, what the smallest one is at most; noise makes 0.97."""


@dataclass(frozen=True, eq=False)
class RangeTest:
    """What a range test measured: one value a minibatch; of the smoothed ones, a few less.

    Attributes:
        smooth_rates: geometric means of learning rates, over the minibatches of `smooth_losses`.
        suggested: the learning rate at which the smoothed loss falls most steeply.
    """

    rates: np.ndarray
    losses: np.ndarray
    smooth_rates: np.ndarray
    smooth_losses: np.ndarray

    @property
    def suggested(self) -> float:
        lowest = int(self.smooth_losses.argmin())
        if lowest < 2 or self.smooth_losses[lowest] > FELL * self.smooth_losses[0]:
            raise DigitsError(
                f"the loss does not fall between {self.rates[0]:.2g} and {self.rates[-1]:.2g}; "
                "try more --steps, or a wider range from --low to --high"
            )
        falls = np.gradient(self.smooth_losses, np.log(self.smooth_rates))
        return float(f"{self.smooth_rates[falls[:lowest].argmin()]:.2g}")


class _Recorder(DummyLogger):
    """Hears of each minibatch's loss, and ends the training when it has diverged."""

    def __init__(self, trainer: Trainer, first_rate: float, width: int) -> None:
        super().__init__()
        self.trainer, self.width, self.smallest = trainer, width, float("inf")
        self.rates, self.losses = [first_rate], list[float]()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.losses.append(metrics["train/loss_step"])
        self.rates.append(metrics["lr"])  # of the next minibatch
        if len(self.losses) >= self.width:
            smooth = float(np.mean(self.losses[-self.width :]))
            self.smallest = min(self.smallest, smooth)
            has_enough = len(self.losses) >= 3 * self.width  # to be smoothed
            self.trainer.should_stop = has_enough and smooth > DIVERGED * self.smallest


def find_lr(config: DictConfig, low: float, high: float, num_steps: int) -> RangeTest:
    """Train with a learning rate that grows exponentially, and write nothing.

    Smith, "Cyclical learning rates for training neural networks", WACV 2017, section 3.3, where it
    grows linearly. Network, minibatches, augmentation and steps are those of a run; callbacks and
    the schedule are left out. It ends early if the loss diverges.

    Args:
        config: the composed configuration.
        low: the first learning rate.
        high: the last one.
        num_steps: optimizer steps, at least 20.
    """
    quieten_lightning()
    config = OmegaConf.merge(config, {"optim": {"lr": low}})  # type: ignore[assignment]
    config.callbacks, config.logger = {}, {}
    config.trainer.update(devices=1, num_nodes=1, strategy="auto", profiler=None, max_time=None)
    config.trainer.update(max_epochs=num_steps, max_steps=num_steps, limit_val_batches=0)
    seed = config.seed or 0
    seed_everything(seed, verbose=False)
    datamodule = make_datamodule(config, seed)
    model = make_model(config, seed, len(datamodule.classes))
    if config.get("init_from"):
        start_from(model, Path(config.init_from))

    def grow(optimizer: Optimizer, _: int) -> LRScheduler:
        return LambdaLR(optimizer, lambda step: (high / low) ** (step / (num_steps - 1)))

    model.schedule_factory, model.schedule_interval = grow, "step"
    width = max(2, num_steps // 15)  # of a moving average, and half that of a smoother window
    with tempfile.TemporaryDirectory() as folder, torch_threads(num_threads(config, model)):
        trainer = make_trainer(config, Path(folder), [])
        recorder = _Recorder(trainer, low, width)
        trainer.loggers = [recorder]
        model.train_on_stacks(datamodule, minibatches_per_stack=1)
        try:
            trainer.fit(model, datamodule)
        except DigitsError:  # the loss is not finite any more
            if len(recorder.losses) < 3 * width:
                raise
    losses = np.array(recorder.losses)
    rates = np.array(recorder.rates[: len(losses)])
    window = np.hanning(2 * width + 1)[1:-1]
    window /= window.sum()
    smooth_rates = np.exp(np.convolve(np.log(rates), window, "valid"))
    return RangeTest(rates, losses, smooth_rates, np.convolve(losses, window, "valid"))
