"""What the screen shows while a network trains."""

from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from digits.models import Classifier


class TrainingProgress(ProgressBar):
    """A bar over the whole training, and one line for each epoch, which stays.

    Counts optimizer steps, not stacks of minibatches. Where the output is no terminal, only the
    lines are written.

    Args:
        console: where to draw.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def disable(self) -> None:
        """Lightning calls this in all processes but the first."""
        self.console = Console(quiet=True)

    def enable(self) -> None:
        """Nothing was disabled."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the bar."""
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            refresh_per_second=2,  # drawing takes milliseconds, in which the training waits
            transient=True,
            disable=not self.console.is_terminal,
        )
        total = pl_module.num_steps() if isinstance(pl_module, Classifier) else None
        self._task = self._progress.add_task("training", total=total, completed=trainer.global_step)
        self._progress.start()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Moves the bar on."""
        if self._progress:
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self._progress.update(self._task, completed=trainer.global_step, description=epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the epoch's line."""
        if not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        parts = [
            f"epoch {trainer.current_epoch + 1:>{len(str(trainer.max_epochs))}}"
            f"/{trainer.max_epochs}"
        ]
        for name in ("train/loss", "val/loss", "train/accuracy", "val/accuracy"):
            if name in metrics:
                value = float(metrics[name])
                form = ".2%" if name.endswith("accuracy") else ".4f" if value < 1000 else ".3g"
                parts.append(f"{name} {value:{form}}")
        self.console.print("  ".join(parts), highlight=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the bar away."""
        self._stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Takes the bar away, so that the message stands alone."""
        self._stop()

    def _stop(self) -> None:
        if self._progress:
            self._progress.stop()
            self._progress = None
