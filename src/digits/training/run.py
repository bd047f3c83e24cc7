"""The recipe of a run: seed, data, model, trainer; fit, test the best checkpoint, save, report."""

import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities.exceptions import SIGTERMException
from rich.console import Console
from torch import Tensor, distributed

from digits.config.errors import explain
from digits.data.datamodule import MNISTDataModule
from digits.errors import DigitsError, Terminated
from digits.files import relative, remove_parts
from digits.model_file import read_checkpoint, save_model
from digits.models import Classifier
from digits.process import torch_threads
from digits.run_directory import (
    FILES,
    HISTORY,
    LAST,
    MODEL,
    Predictions,
    is_first_process,
    locked,
    read_choices,
    write_metrics,
    write_predictions,
)
from digits.text import first_line, screen
from digits.training.build import make_datamodule, make_model, make_trainer, num_threads, start_from
from digits.training.callbacks import History, Resuming, TrainingProgress
from digits.training.console import quieten_lightning, show_layers, show_start, show_summary
from digits.training.resume import (
    check_resumable,
    finished_run,
    is_tested,
    recorded_status,
    resume_point,
)
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
        check_resumable(run_dir, config)
        if metrics := finished_run(run_dir, config):
            untested = ", not tested" if metrics["test/accuracy"] is None else ""
            console.print(
                f"{relative(run_dir)} is a finished run{untested}: nothing to do. "
                "For a new run give another name or dir."
            )
            return metrics
        remove_parts(*(run_dir / name for name in FILES))
        plain: Any = OmegaConf.to_container(config, resolve=True)
        with (
            recorded_status(run_dir, plain),
            _signals_of_lightning(),
            torch_threads(),
            _wandb_ended(),
        ):
            return _run(config, run_dir, console)


@contextmanager
def _signals_of_lightning() -> Iterator[None]:
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


def _run(config: DictConfig, run_dir: Path, console: Console) -> dict[str, Any]:
    choices = read_choices(run_dir)
    last = resume_point(run_dir, config.resume)
    checkpoint: dict[str, Any] = {}
    if last:
        with _restoring(last):
            checkpoint = read_checkpoint(last)
            step, _ = int(checkpoint["global_step"]), int(checkpoint.get("seed", 0))

    seed = checkpoint.get("seed", secrets.randbits(32)) if config.seed is None else config.seed
    seed_everything(seed, verbose=False)
    datamodule = make_datamodule(config, seed)
    model = make_model(config, seed, len(datamodule.classes))
    if config.get("init_from") and not last:
        start_from(model, Path(config.init_from))
    torch.set_num_threads(num_threads(config, model))
    history = History(run_dir)
    pictures = TensorBoardPictures(OmegaConf.to_yaml(config, resolve=True))
    resuming, has_bar = Resuming(), config.trainer.get("enable_progress_bar", True)
    progress = TrainingProgress(console, history, has_bar=has_bar)
    callbacks = [history, resuming, pictures, progress]
    trainer = make_trainer(config, run_dir, callbacks, checkpoint.get("global_step", 0))
    model.train_on_stacks(datamodule)
    if datamodule.folds and trainer.world_size > 1:
        raise DigitsError("a fold of cross-validation needs one process; try trainer.devices=1")

    show_start(console, choices, _num_parameters(model), seed, run_dir)
    if config.trainer.get("enable_model_summary"):
        show_layers(console, model)
    if last:
        console.print(f"resumed after step {step:,}, from checkpoints/{last.name}")
    elif (run_dir / HISTORY).exists():
        console.print(f"{LAST} is missing: training starts over")
    with _restoring(last, resuming):
        trainer.fit(model, datamodule, ckpt_path=last)
    best_epoch, validated = _load_best(trainer, model, history)
    if not validated and len(datamodule.val_indices):
        trainer.validate(model, datamodule, verbose=False)
        validated = history.validated
    logits = torch.empty(0)
    if is_tested(config):
        trainer.test(model, datamodule, verbose=False)
        logits = model.test_logits
    elif datamodule.folds:
        logits = torch.cat(cast(Any, trainer.predict(model, datamodule.val_dataloader())))

    metrics = {"seed": seed} | _metrics(trainer, model, datamodule, history, best_epoch, validated)
    if trainer.is_global_zero:
        from digits.figures import draw_loss_curves  # matplotlib takes a third of a second

        save_model(run_dir / MODEL, model, datamodule, precision=str(trainer.precision))
        if len(logits):
            write_predictions(run_dir, _predictions(logits, datamodule))
        draw_loss_curves(run_dir)
        log_hyperparameters(trainer, config, choices, metrics)
        write_metrics(run_dir, metrics)
        show_summary(console, run_dir, metrics)
    if distributed.is_initialized():  # Lightning kills the first process if another one ends badly
        trainer.strategy.barrier()
        distributed.destroy_process_group()
    return metrics


@contextmanager
def _restoring(last: Path | None, resuming: Resuming | None = None) -> Iterator[None]:
    """Say in one line that a checkpoint cannot be resumed from, until all in it is restored."""
    try:
        yield
    except Exception as error:  # Lightning stumbles over what is wrong in it in any way
        if last is None or (resuming and (resuming.has_begun or explain(error))):
            raise
        stumbled = f"{type(error).__name__}: {first_line(error)}"
        reason = explain(error) or f"{relative(last)} is not a checkpoint of a run ({stumbled})"
        raise DigitsError(
            f"{reason}; delete {last.name} to train from the beginning, or try another name=RUN"
        ) from error


def _load_best(
    trainer: Trainer, model: Classifier, history: History
) -> tuple[int, Mapping[str, float]]:
    """Load the checkpoint that validation chose, if there is one.

    Returns:
        The network's epoch, from 1, and what validation measured of it; nothing if it did not.
    """
    found = [each for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint)]
    best = next((each.best_model_path for each in found if each.monitor), "")
    content = read_checkpoint(Path(best)) if best else {}
    epoch = content["epoch"] + 1 if best else trainer.current_epoch
    if best:
        model.load_state_dict(content["state_dict"])
    row = next((row for row in history.rows if row["epoch"] == epoch), {})
    kept = {name: value for name, value in row.items() if name.startswith("val/")}
    return epoch, content.get("validated") or kept


def _num_parameters(model: Classifier) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _metrics(
    trainer: Trainer,
    model: Classifier,
    datamodule: MNISTDataModule,
    history: History,
    best_epoch: int,
    validated: Mapping[str, float],
) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        "dataset": datamodule.dataset,
        "init_from": model.init_from,
        "epochs": trainer.current_epoch,
        "best_epoch": best_epoch,
        "max_epochs": trainer.max_epochs,
        "num_train": len(datamodule.train_indices),
        "val_split_sha256": datamodule.split_sha256,
        "fold": datamodule.fold,
        "mean": datamodule.mean,
        "std": datamodule.std,
        "num_parameters": _num_parameters(model),
        "threads": torch.get_num_threads(),
        "train_time_s": round(sum(row["time_s"] for row in history.rows), 3),
    }
    for part, measured in (("val", validated), ("test", trainer.callback_metrics)):
        number = metrics[f"num_{part}"] = model.num_images[part]
        accuracy, loss = measured.get(f"{part}/accuracy"), measured.get(f"{part}/loss")
        # Lightning's float32 is near a fraction of whole images; that is written exactly.
        exact = None if accuracy is None else round(float(accuracy) * number) / number
        metrics[f"{part}/accuracy"] = exact
        metrics[f"{part}/loss"] = None if loss is None else float(loss)
    return metrics


def _predictions(logits: Tensor, datamodule: MNISTDataModule) -> Predictions:
    """Return the answers to the test images, or to the validation images of a fold."""
    indices = datamodule.val_indices if datamodule.folds else torch.arange(len(logits))
    data = datamodule.train if datamodule.folds else datamodule.test
    assert data is not None
    labels, dtype = data.labels[indices], np.min_scalar_type(len(data.labels) - 1)
    confidence, predicted = logits.float().softmax(dim=1).max(dim=1)
    return Predictions(
        indices=indices.numpy().astype(dtype) if datamodule.folds else None,
        labels=labels.numpy().astype(np.uint8),
        predicted=predicted.numpy().astype(np.uint8),
        confidence=confidence.numpy().astype(np.float16),
    )
