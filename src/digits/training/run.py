"""The recipe of a run: seed, data, model, trainer; fit, test the best checkpoint, save, report."""

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import seed_everything
from pytorch_lightning.utilities.exceptions import SIGTERMException
from rich.console import Console
from torch import distributed

from digits.data.datasets import SAMPLE
from digits.errors import DigitsError, Terminated
from digits.files import relative, remove_parts
from digits.model_file import read_checkpoint, save_model
from digits.process import torch_threads
from digits.run_directory import (
    FILES,
    LAST,
    MODEL,
    is_first_process,
    locked,
    read_choices,
    read_status,
    write_metrics,
    write_predictions,
)
from digits.text import screen
from digits.training.build import make_datamodule, make_model, make_trainer, num_threads, start_from
from digits.training.callbacks import History, Resuming, TrainingProgress
from digits.training.console import quieten_lightning, show_layers, show_start, show_summary
from digits.training.results import can_predict, load_best, metrics_of, predictions_of
from digits.training.resume import check_resumable, finished_run, is_tested
from digits.training.status import recorded_status
from digits.training.tensorboard import TensorBoardPictures, log_hyperparameters


def run(config: DictConfig, run_dir: Path, *, quiet: bool = False) -> dict[str, Any]:
    """Train, test and save one network; everything lands in the run directory.

    A run that was stopped is resumed from its last whole epoch; a finished one is left as it is.

    Args:
        config: the composed configuration, without Hydra's part.
        run_dir: the run directory; made if it does not exist.
        quiet: print nothing.

    Returns:
        What metrics.json holds.

    Raises:
        DigitsError: the data, the configuration or the checkpoint to resume from cannot be used, or
            the loss diverged.
        Pruned: a search has ended the run early.
    """
    quieten_lightning()
    console = screen(quiet=quiet or not is_first_process())
    run_dir.mkdir(parents=True, exist_ok=True)
    with locked(run_dir):
        last = check_resumable(run_dir, config)
        if metrics := finished_run(run_dir, config):
            of = " on the embedded sample, not MNIST" if metrics["dataset"] == SAMPLE else ""
            untested = ", not tested" if metrics["test/accuracy"] is None else ""
            console.print(
                f"{relative(run_dir)} is a finished run{of}{untested}: nothing to do. "
                "For a new run give another name or dir."
            )
            return metrics
        if not last and read_status(run_dir):
            console.print(f"{LAST} is missing: training starts over")
        remove_parts(*(run_dir / name for name in FILES))
        plain: Any = OmegaConf.to_container(config, resolve=True)
        with recorded_status(run_dir, plain), _signals(), torch_threads(), _wandb_ended():
            return _run(config, run_dir, last, console)


def _run(config: DictConfig, run_dir: Path, last: Path | None, console: Console) -> dict[str, Any]:
    checkpoint = _read(last) if last else {}
    seed = config.seed
    if seed is None:
        seed = checkpoint.get("seed", secrets.randbits(32))
    seed_everything(seed, verbose=False)
    datamodule = make_datamodule(config, seed)
    model = make_model(config, seed, len(datamodule.classes))
    if config.get("init_from") and not last:
        start_from(model, Path(config.init_from))
    torch.set_num_threads(num_threads(config, model))
    history, has_bar = History(run_dir), config.trainer.get("enable_progress_bar", True)
    pictures = TensorBoardPictures(OmegaConf.to_yaml(config, resolve=True))
    progress = TrainingProgress(console, history, has_bar=has_bar)
    callbacks = [history, Resuming(), pictures, progress]
    trainer = make_trainer(config, run_dir, callbacks, checkpoint.get("global_step", 0))
    model.train_on_stacks(datamodule)

    choices = read_choices(run_dir)
    show_start(console, choices, model, run_dir)
    if config.trainer.get("enable_model_summary"):
        show_layers(console, model)
    if last:
        console.print(f"resumed after step {checkpoint['global_step']:,}, from {LAST}")
    trainer.fit(model, datamodule, ckpt_path=last)

    best_epoch, validated = load_best(trainer, model)
    if not validated and len(datamodule.val_indices):
        trainer.validate(model, datamodule, verbose=False)
        validated = history.validated
    logits = torch.empty(0)
    if is_tested(config):
        trainer.test(model, datamodule, verbose=False)
        logits = model.test_logits
    elif len(datamodule.val_indices) and can_predict(model, trainer):
        trainer.limit_predict_batches = trainer.limit_val_batches  # the images of val/accuracy
        logits = torch.cat(cast(Any, trainer.predict(model, datamodule.val_dataloader())))

    metrics = metrics_of(trainer, model, datamodule, history, best_epoch, validated)
    if trainer.is_global_zero:
        from digits.figures import draw_loss_curves  # matplotlib takes a third of a second

        save_model(run_dir / MODEL, model, datamodule, precision=str(trainer.precision))
        if len(logits):
            write_predictions(run_dir, predictions_of(logits, datamodule, is_tested(config)))
        draw_loss_curves(run_dir)
        log_hyperparameters(trainer, config, choices, metrics)
        write_metrics(run_dir, metrics)
        show_summary(console, run_dir, metrics)
    if distributed.is_initialized():  # Lightning kills the first process if another one ends badly
        trainer.strategy.barrier()
        distributed.destroy_process_group()
    return metrics


def _read(last: Path) -> dict[str, Any]:
    try:
        return read_checkpoint(last)
    except DigitsError as error:
        raise DigitsError(
            f"{error}; delete {last.name} to train from the beginning, or try another name=RUN"
        ) from None


@contextmanager
def _signals() -> Iterator[None]:
    """Give signals their own exceptions; Lightning exits with 1 on Ctrl-C, with 0 on SIGTERM."""
    try:
        yield
    except SIGTERMException:
        raise Terminated() from None
    except SystemExit as left:
        if isinstance(left.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


@contextmanager
def _wandb_ended() -> Iterator[None]:
    """End Weights & Biases' run of this run, which the next one in the process would go on with."""
    before = getattr(sys.modules.get("wandb"), "run", None)
    try:
        yield
    finally:
        wandb: Any = sys.modules.get("wandb")
        if getattr(wandb, "run", None) is not before:
            wandb.finish()
