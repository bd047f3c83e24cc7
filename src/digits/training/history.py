"""The loss and accuracy of each epoch, as a table that survives a restart."""

import csv
import io
import time
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from digits.files import write_atomically

COLUMNS = (
    "epoch",
    "step",
    "train/loss",
    "train/accuracy",
    "val/loss",
    "val/accuracy",
    "lr",
    "time_s",
)


class History(Callback):
    """Writes metrics.csv, one row an epoch.

    The rows are part of every checkpoint. So a resumed run goes on with the table as it was when
    that checkpoint was written, and ends with the same table as a run that was never interrupted
    (but for the times).

    Args:
        run_dir: where metrics.csv is written.
    """

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / "metrics.csv"
        self.rows: list[dict[str, float]] = []
        self._started = 0.0

    @property
    def train_time_s(self) -> float:
        """Seconds that the epochs took, validation and checkpoints included."""
        return sum(row["time_s"] for row in self.rows)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Adds the epoch's row, before the checkpoint is written."""
        metrics = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if name in COLUMNS
        }
        optimizer = trainer.optimizers[0]
        self.rows.append(
            {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
            | metrics
            | {"lr": optimizer.param_groups[0]["lr"], "time_s": time.perf_counter() - self._started}
        )
        if trainer.is_global_zero:
            table = io.StringIO()
            writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
            write_atomically(self.path, table.getvalue().encode())

    def state_dict(self) -> dict[str, Any]:
        """Returns the rows and the seconds of an epoch that has begun, for the checkpoint."""
        return {"rows": self.rows, "seconds": time.perf_counter() - self._started}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the rows up to the checkpoint."""
        self.rows = list(state_dict["rows"])
        self._started = time.perf_counter() - state_dict["seconds"]
