"""Stopping between two steps, with a checkpoint from which the run goes on bit for bit."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torchmetrics import Metric

from digits.errors import DigitsError
from digits.models import Classifier
from digits.training.checkpoints import LAST
from digits.training.signals import TERMINATED, Terminated, end, is_governed

REQUEUE = (signal.SIGUSR1, signal.SIGUSR2)
"""What a job that shall be queued again may be told by."""

WITHIN_EPOCH = "within_epoch"
"""A checkpoint's key for what it takes to go on in the middle of an epoch."""


class SafeStop(Callback):
    """Holds signals back until the training stands between two stacks, and saves last.ckpt there.

    These are Ctrl-C, SIGTERM and those by which a SLURM cluster announces the end of a job's time:
    SIGUSR1, or whatever submitit listens to, after which the job is queued again. A second Ctrl-C
    ends the run at once. What Lightning itself would save on a signal is the state
    of whatever moment it came in, within a stack or a validation, and cannot be gone on with.

    Several processes that share an epoch agree after each step whether one of them was told to
    stop; they go on from the last epoch that was finished.

    Args:
        dirpath: where last.ckpt lies.
        interval_s: last.ckpt is also written within an epoch, when the latest is that old; seconds.
    """

    def __init__(self, dirpath: str | Path, interval_s: float = 60.0) -> None:
        self.last, self.interval_s = Path(dirpath) / LAST, interval_s
        self._received: int | None = None
        self._previous: dict[int, Any] = {}
        self._saved_at = time.monotonic()
        self._done: dict[str, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Goes to the place in the epoch that the checkpoint is of, and listens to signals."""
        if self._done:
            loader: Any = trainer.train_dataloader
            loader.batch_sampler.start = self._done["stacks"]
            for name, states in self._done["metrics"].items():
                metric = getattr(pl_module, name)
                for state, value in states.items():
                    setattr(metric, state, value.to(pl_module.device))
        if threading.current_thread() is not threading.main_thread() or is_governed():
            return
        numbers = {signal.SIGINT, signal.SIGTERM}
        numbers |= {number for number in REQUEUE if callable(signal.getsignal(number))}
        if "SLURM_JOB_ID" in os.environ:
            numbers.add(signal.SIGUSR1)
        self._previous = {number: signal.signal(number, self._receive) for number in numbers}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT == self._received:
            raise KeyboardInterrupt
        if number == signal.SIGTERM and "SUBMITIT_EXECUTOR" in os.environ:
            return  # SLURM sends it along with the signal that submitit waits for
        self._received = number

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *_: Any, **__: Any
    ) -> None:
        """Saves, if it is time to, and stops, if that was asked for."""
        pending = isinstance(pl_module, Classifier) and pl_module.num_accumulated
        if trainer.is_last_batch or pending:
            return  # the epoch ends with a checkpoint; half a step's gradients are in none
        alone = trainer.world_size == 1
        if alone and (self._received or time.monotonic() - self._saved_at > self.interval_s):
            trainer.save_checkpoint(self.last)
            self._saved_at = time.monotonic()
        self._stop(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops after the epoch before; its checkpoint has just been written."""
        self._saved_at = time.monotonic()
        self._stop(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops after the last epoch, before the test."""
        self._restore()
        self._stop(trainer)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Gives the signals back, and ends the processes that this one started to train with it.

        Raises:
            DigitsError: one of them had ended by itself, so that the connection to it broke.
        """
        self._restore()
        children = getattr(trainer.strategy.launcher, "procs", [])
        started, children[:] = list(children), []  # Lightning kills us if it sees one of them end
        codes = [end(child, patience_s=isinstance(exception, RuntimeError)) for child in started]
        if lost := next(filter(None, codes), None):
            how = f"was killed by signal {-lost}" if lost < 0 else f"failed with exit code {lost}"
            raise DigitsError(
                f"a process that shared this run {how}; the same command with its name goes on"
            ) from exception

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds how far the epoch has come: stacks, and what the metrics have summed up.

        What was logged up to here is on the disk before the checkpoint is.
        """
        for logger in trainer.loggers:
            logger.save()
        loops: Any = trainer.fit_loop  # whose types Lightning declares too wide
        epoch = loops.epoch_progress.current
        if epoch.processed == epoch.started:
            return
        checkpoint[WITHIN_EPOCH] = {
            "stacks": loops.epoch_loop.batch_progress.current.processed,
            "metrics": {
                name: dict(metric.metric_state)
                for name, metric in pl_module.named_children()
                if isinstance(metric, Metric) and name.startswith("train_")
            },
        }

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Takes how far the epoch had come."""
        self._done = checkpoint.get(WITHIN_EPOCH, {})

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            # A late one, to one of several processes, would kill it.
            late = number in REQUEUE and not callable(handler)
            signal.signal(number, signal.SIG_IGN if late else handler)

    def _agree(self, trainer: Trainer) -> int | None:
        """Returns the signal to stop by; of several processes the first is the last to stop."""
        if trainer.world_size == 1:
            return self._received
        own = torch.tensor(self._received or 0, device=trainer.strategy.root_device)
        number = int(trainer.strategy.reduce(own, reduce_op="max"))
        if not number:
            return None
        for process in getattr(trainer.strategy.launcher, "procs", []):
            process.wait()  # Lightning kills this one when it sees another end in another way
        return number if trainer.is_global_zero else signal.SIGTERM

    def _stop(self, trainer: Trainer) -> None:
        number = self._agree(trainer)
        if number is None:
            return
        self._restore()
        self._received = None
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        if number in REQUEUE:
            if callable(handler := self._previous[number]):
                try:
                    handler(number, None)  # submitit's: queues the job again and leaves
                except SystemExit as left:
                    raise Terminated(*left.args) from left
            else:
                subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], check=True)
        raise Terminated(TERMINATED)
