"""What happens along the way: the table of epochs, the progress on the screen, the checkpoints."""

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, Timer
from pytorch_lightning.plugins.io import TorchCheckpointIO
from rich import progress
from rich.console import Console

from digits.config.schema import METRICS
from digits.files import write_atomically
from digits.model_file import read_checkpoint
from digits.run_directory import BEST, LAST, write_history

COLUMNS = (
    *("epoch", "step", "train/loss", "train/accuracy"),
    *("val/loss", "val/accuracy", "lr", "time_s"),
)


def logged(found: Mapping[str, float]) -> list[str]:
    """Return the names of an epoch's metrics, those of every network first."""
    forks = {f"{name}_{kind}" for name in found for kind in ("step", "epoch")}
    own = sorted(found.keys() - forks - {*COLUMNS})
    return [*(name for name in METRICS if name in found), *own]


class History(Callback):
    """The table metrics.csv, one row an epoch.

    The rows are part of every checkpoint, so that a resumed run ends with the same table as an
    uninterrupted one, but for the times.
    """

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.rows: list[dict[str, float]] = []
        self.validated: dict[str, float] = {}
        """What the latest validation measured; empty before there was one in an epoch."""
        self._started = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started, self.validated = time.perf_counter(), {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        found = trainer.callback_metrics.items()
        self.validated = {name: float(value) for name, value in found if name.startswith("val/")}

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        # The x axis of what a `training_step` of the user's own logs: Lightning counts stacks.
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step - 1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning calls the checkpoints' hook of this name after all others.
        # Of a validation in an epoch before, Lightning's metrics still tell.
        last = trainer.callback_metrics.items()
        found = {key: float(value) for key, value in last if not key.startswith("val/")}
        found |= self.validated
        self.rows.append(
            {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
            | {name: found[name] for name in logged(found)}
            | {"lr": trainer.optimizers[0].param_groups[0]["lr"]}
            | {"time_s": time.perf_counter() - self._started}
        )
        if trainer.is_global_zero:
            own = sorted({name for row in self.rows for name in row} - set(COLUMNS))
            write_history(self.run_dir, self.rows, [*COLUMNS, *own])

    def on_save_checkpoint(self, trainer: Trainer, _: Any, checkpoint: dict[str, Any]) -> None:
        # The row of its epoch may be of a later validation.
        checkpoint["validated"] = self.validated

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])


class TrainingProgress(Callback):
    """A bar over the whole training's optimizer steps, and one line for each epoch, which stays.

    Only the lines are written without `has_bar`, beside a bar of the user's choice, and where the
    output is not a terminal.
    """

    def __init__(self, console: Console, history: History, *, has_bar: bool = True) -> None:
        self.console, self.history = console, history
        self._bar = progress.Progress(
            *progress.Progress.get_default_columns(),
            progress.TimeElapsedColumn(),
            console=console,
            refresh_per_second=2,  # drawing takes milliseconds, in which the training waits
            transient=True,
            disable=not (has_bar and console.is_terminal),
        )

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        total, completed = pl_module.num_steps(), trainer.global_step
        self._task = self._bar.add_task("training", total=total, completed=completed)
        if not trainer.progress_bar_callback:
            self._bar.start()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self._bar.update(self._task, completed=trainer.global_step, description=epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        width = len(str(trainer.max_epochs))
        parts = [f"epoch {trainer.current_epoch + 1:>{width}}/{trainer.max_epochs}"]
        row = self.history.rows[-1]
        for name in logged(row):
            form = ".2%" if name.endswith("accuracy") else ".4f" if row[name] < 1000 else ".3g"
            parts.append(f"{name} {row[name]:{form}}")
        self.console.print("  ".join(parts))

    def on_train_end(self, *_: Any) -> None:
        self._bar.stop()

    def on_exception(self, *_: Any) -> None:
        self._bar.stop()  # so that the message stands alone


class Resuming(Callback):
    """What Lightning loses of a training that it resumes from the end of an epoch.

    That is: whether early stopping had ended it there, and that it stood between two epochs also if
    `trainer.max_steps` is set, with which Lightning takes it for one that stood within an epoch.
    """

    def __init__(self) -> None:
        self._has_stopped, self._max_steps = False, -1

    def on_save_checkpoint(self, trainer: Trainer, _: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["should_stop"] = trainer.should_stop

    def on_load_checkpoint(self, trainer: Trainer, _: Any, checkpoint: dict[str, Any]) -> None:
        self._has_stopped = checkpoint.get("should_stop", False)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            state = checkpoint["callbacks"].get(callback.state_key) or {}
            if isinstance(callback, Timer):  # looks itself whether there is time left
                self._has_stopped = False
            elif isinstance(callback, EarlyStopping) and state:
                if state["patience"] <= state["wait_count"] < callback.patience:
                    self._has_stopped = False
                state["patience"] = callback.patience

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # After this, Lightning restores its loops.
        self._max_steps = trainer.max_steps
        trainer.fit_loop.epoch_loop.max_steps = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.fit_loop.epoch_loop.max_steps = self._max_steps
        trainer.should_stop = trainer.should_stop or self._has_stopped


class RunCheckpoint(ModelCheckpoint):
    """Lightning's checkpoint in one file of the run directory, from which a run can be resumed.

    With a metric to monitor it is best.ckpt, written after any validation. Without one it is
    last.ckpt, written after whole epochs only: all random draws depend on the epoch
    and the step, so that a run that is resumed from there ends as if nothing had stopped it.
    (Lightning's own `save_last` writes only when the best checkpoint is written.)

    Without validation images, best.ckpt is the network after the last epoch.
    """

    def __init__(self, monitor: str | None = None, mode: str = "min") -> None:
        super().__init__(
            filename=(LAST if monitor is None else BEST).stem,
            monitor=monitor,
            mode=mode,
            # A resumed run writes best.ckpt again, not best-v1.ckpt.
            enable_version_counter=False,
            auto_insert_metric_name=False,
            # Not after a validation within the epoch.
            save_on_train_epoch_end=True if monitor is None else None,
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        datamodule = getattr(trainer, "datamodule", None)
        # Fixed, since runs are resumed from there.
        self.dirpath = str(Path(trainer.default_root_dir, LAST.parent).absolute())
        if self.monitor and len(getattr(datamodule, "val_indices", "?")) == 0:
            # Of Lightning's own, a number that grows: the latest is the best.
            self.monitor, self.mode, self._save_on_train_epoch_end = "step", "max", True
        super().setup(trainer, pl_module, stage)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # The run may have been moved, and Lightning deletes files that are named here.
        own = str(Path(str(self.dirpath), f"{self.filename}{self.FILE_EXTENSION}"))
        paths = {key: own for key, path in state_dict.items() if key.endswith("_path") and path}
        best = {own: state_dict["best_model_score"]} if state_dict["best_k_models"] else {}
        moved = paths | {"best_k_models": best, "dirpath": self.dirpath}
        super().load_state_dict(state_dict | moved)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.monitor is None:
            if not trainer.is_last_batch or trainer.global_step == trainer.max_steps:
                return  # the epoch was cut short
            for logger in trainer.loggers:
                logger.save()  # a resumed run will not log the steps before this checkpoint again
        super().on_train_epoch_end(trainer, pl_module)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint files, written whole or not at all, and read without running code."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()  # torch does not say why it could not write to a file
        torch.save(checkpoint, content)
        write_atomically(path, content.getbuffer())

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        return read_checkpoint(Path(path), map_location)
