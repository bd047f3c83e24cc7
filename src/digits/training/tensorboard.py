"""The run's curves for TensorBoard."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

LAYOUT = {
    "training and validation": {
        "loss": ["Multiline", ["^train/loss$", "^val/loss$"]],
        "accuracy": ["Multiline", ["^train/accuracy$", "^val/accuracy$"]],
    }
}
"""What the Custom Scalars tab draws on one chart: regular expressions, searched in the tags."""

FINAL = ("val/accuracy", "val/loss", "test/accuracy", "test/loss")


class TensorBoard(TensorBoardLogger):
    """Lightning's logger, writing into the run directory itself, with both losses on one chart.

    Args:
        run_dir: where the event files go; TensorBoard shows the run under this folder's name.
        resumed_at_step: TensorBoard forgets what an interrupted run had logged from this step on;
            0 where training begins, which an interrupted run may have done before.
        projector: whether to add the test images' embeddings for its Projector, which takes some
            seconds.
    """

    def __init__(self, run_dir: str, resumed_at_step: int = 0, projector: bool = False) -> None:
        _wait_for_a_later_name(Path(run_dir))
        super().__init__(
            run_dir, name="", version="", default_hp_metric=False, purge_step=resumed_at_step
        )
        self.projector = projector
        self._has_layout = False

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs metrics at an optimizer step."""
        if not self._has_layout:
            self.experiment.add_custom_scalars(LAYOUT)
            self._has_layout = True
        # Lightning adds the epoch to whatever is logged; a straight line is no curve to look at.
        super().log_metrics({key: metrics[key] for key in metrics if key != "epoch"}, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Flushes, and leaves the file open for the test and the final metrics."""
        self.experiment.flush()

    @rank_zero_only
    def save(self) -> None:
        """Leaves out Lightning's hparams.yaml, since Hydra has written .hydra/config.yaml."""
        self.experiment.flush()


def log_hyperparameters(
    logger: Any,
    config: DictConfig,
    choices: Mapping[str, str],
    metrics: Mapping[str, Any],
    step: int,
) -> None:
    """Fills the HPARAMS tab: what was chosen, against the final metrics at the last step."""
    if not isinstance(logger, TensorBoard):
        return
    groups = {
        group: choices[group]
        for group in ("model", "optim", "norm", "schedule")
        if group in choices
    }
    values = {
        "lr": config.optim.get("lr"),
        "batch_size": config.data.batch_size,
        "hidden": str(list(config.model.get("hidden", []))),
        "dropout_rate": config.model.get("dropout_rate", 0.0),
        "epochs": metrics["epochs"],
        "seed": metrics["seed"],
        "dataset": metrics["dataset"],
    }
    final = {
        f"final/{name.replace('/', '_')}": metrics[name]
        for name in FINAL
        if metrics[name] is not None
    }
    logger.log_hyperparams(groups | values, final, step)
    logger.experiment.close()


def _wait_for_a_later_name(run_dir: Path) -> None:
    """Waits for up to a second where an event file of this second lies there.

    TensorBoard reads a run's files in the order of their names, which hold the second of their
    beginning and then a number without leading zeros: 10 comes before 9.
    """
    second = int(time.time())
    if any(run_dir.glob(f"events.out.tfevents.{second}.*")):
        time.sleep(max(second + 1 - time.time(), 0))
