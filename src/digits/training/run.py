"""The recipe of a run: make data, model and trainer, fit, test the best checkpoint, save."""

import logging
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from rich.console import Console

from digits.artifact import save_model
from digits.data.datamodule import MNISTDataModule
from digits.figures import draw_loss_curves
from digits.files import relative, remove_parts
from digits.models import Classifier
from digits.runs import (
    FINISHED,
    finished_metrics,
    is_first_process,
    locked,
    read_status,
    write_metrics,
)
from digits.search.pruning import pruning_callbacks
from digits.training.build import make_datamodule, make_model, make_trainer
from digits.training.checkpoints import read_checkpoint, read_newest
from digits.training.history import History
from digits.training.predictions import write_predictions
from digits.training.processes import (
    OF_SWEEP,
    leave_together,
    needs_own_process,
    run_in_own_process,
)
from digits.training.progress import TrainingProgress
from digits.training.quiet import quieten_lightning
from digits.training.report import show_start, show_summary
from digits.training.resume import check_resumable, resume_point
from digits.training.signals import stop_if_told
from digits.training.status import recorded
from digits.training.tensorboard import log_hyperparameters
from digits.training.tensorboard_pictures import TensorBoardPictures

_log = logging.getLogger(__name__)


def run(
    config: DictConfig, run_dir: Path | None = None, *, quiet: bool = False
) -> dict[str, Any]:
    """Trains, tests and saves one network; everything lands in Hydra's run directory.

    Returns:
        What metrics.json holds.

    Raises:
        DigitsError: the data, the configuration or the checkpoint to resume from cannot be used, or
            the loss diverged.
    """
    stop_if_told()
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    if needs_own_process(config):
        run_in_own_process(run_dir)
        return finished_metrics(run_dir) or {}
    quieten_lightning()
    with locked(run_dir):
        for folder in (run_dir, run_dir / "checkpoints"):
            remove_parts(folder)
        check_resumable(run_dir, config)  # Hydra lets a sweep's jobs be checked only here
        metrics = finished_metrics(run_dir)
        if metrics and _is_done(metrics, config):
            place = relative(run_dir)
            untested = ", not tested" if metrics["test/accuracy"] is None else ""
            _console().print(
                f"{place} is a finished run{untested}: nothing to do. A new run needs another name."
            )
            if read_status(run_dir).get("status") == FINISHED:
                return metrics
            with recorded(run_dir, OmegaConf.to_container(config, resolve=True)):
                return metrics  # its status says finished again
        with recorded(run_dir, OmegaConf.to_container(config, resolve=True)):
            metrics = _run(config, run_dir)
    leave_together()
    return metrics


def _is_done(metrics: Mapping[str, Any], config: DictConfig) -> bool:
    tested = metrics["test/accuracy"] is not None or not config.test
    return tested and bool(metrics["max_epochs"] == config.trainer.max_epochs)


class _LastingConsole(Console):
    """A screen whose end is no reason to end a run, as of `python train.py | head`."""

    def on_broken_pipe(self) -> None:
        """Writes no more."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _console() -> Console:
    """Makes the screen's; the jobs of a sweep leave it to `digits.sweeps.follow`."""
    is_job = HydraConfig.get().mode is RunMode.MULTIRUN or OF_SWEEP in os.environ
    quiet = not is_first_process() or is_job
    return _LastingConsole(highlight=False, soft_wrap=True, quiet=quiet)


def _run(config: DictConfig, run_dir: Path) -> dict[str, Any]:
    choices = HydraConfig.get().runtime.choices
    console = _console()

    checkpoint: dict[str, Any] = {}
    if last := resume_point(run_dir, config.resume):
        last, checkpoint, damage = read_newest(run_dir, config.trainer.max_epochs)
        if damage:
            _log.warning(damage)
    resumed_at_step = checkpoint.get("global_step", 0)

    seed = checkpoint.get("seed", secrets.randbits(32)) if config.seed is None else config.seed
    seed_everything(seed, verbose=False)
    model = make_model(config, seed)
    history = History(run_dir)
    pictures = TensorBoardPictures(OmegaConf.to_yaml(config, resolve=True))
    callbacks = [history, pictures, TrainingProgress(console)]
    callbacks += pruning_callbacks(str(config.trainer.get("strategy")))
    trainer = make_trainer(config, run_dir, callbacks, resumed_at_step)
    datamodule = make_datamodule(config, seed, trainer)

    show_start(console, config, choices, seed, run_dir)
    if last is not None:
        console.print(f"resumed after step {resumed_at_step:,}, from checkpoints/{last.name}")
    trainer.fit(model, datamodule, ckpt_path=last)
    metrics = {"seed": seed} | _test(trainer, model, datamodule, history, config.test)

    if trainer.is_global_zero:
        save_model(run_dir / "model.pt", model, datamodule)
        if config.test:
            assert datamodule.test is not None
            tested = datamodule.test.labels[: len(model.test_logits)]
            write_predictions(run_dir, model.test_logits, tested)
        draw_loss_curves(run_dir)
        log_hyperparameters(trainer.logger, config, choices, metrics, trainer.global_step)
        write_metrics(run_dir, metrics)  # by which the run is finished: whatever is missing is made
        show_summary(console, run_dir, metrics)
    return metrics


def _test(
    trainer: Trainer,
    model: Classifier,
    datamodule: MNISTDataModule,
    history: History,
    on_test_images: bool,
) -> dict[str, Any]:
    """Tests the checkpoint that validation chose, once, and collects what is known of the run."""
    checkpoint = trainer.checkpoint_callback
    best = checkpoint.best_model_path if isinstance(checkpoint, ModelCheckpoint) else ""
    best_epoch = trainer.current_epoch
    if best:
        content = read_checkpoint(Path(best))
        model.load_state_dict(content["state_dict"])
        best_epoch = content["epoch"] + 1
    validated = next((row for row in history.rows if row["epoch"] == best_epoch), {})
    tested: Mapping[str, float] = {}
    if on_test_images:
        (tested,) = trainer.test(model, datamodule, verbose=False)
    metrics = {
        "dataset": datamodule.dataset,
        "epochs": trainer.current_epoch,
        "best_epoch": best_epoch,
    }
    for part, measured in (("val", validated), ("test", tested)):
        num_images = model.num_images[part]
        accuracy = measured.get(f"{part}/accuracy")
        # Lightning's float32 is near a fraction of whole images; that is written exactly.
        metrics[f"{part}/accuracy"] = (
            None if accuracy is None else round(accuracy * num_images) / num_images
        )
        metrics[f"{part}/loss"] = measured.get(f"{part}/loss")
        metrics[f"num_{part}"] = num_images
    return metrics | {
        "max_epochs": trainer.max_epochs,
        "num_train": len(datamodule.train_indices),
        "val_split_sha256": datamodule.split_sha256,
        "mean": datamodule.mean,
        "std": datamodule.std,
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "train_time_s": round(history.train_time_s, 3),
    }
