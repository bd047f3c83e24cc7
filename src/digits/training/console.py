"""What a run prints: a line at its start, a table at its end, and nothing of Lightning's."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities.model_summary.model_summary import summarize
from rich.console import Console

from digits.data.datasets import NOT_MNIST, SAMPLE, SIDE
from digits.files import relative
from digits.models import Classifier
from digits.page import Table, show_table
from digits.run_directory import CURVES
from digits.statistics import wilson_interval
from digits.text import duration, plural

SHOWN_CHOICES = ("model", "optim", "norm", "schedule")
"""Config groups that the start line and TensorBoard's HPARAMS tab name."""


def quieten_lightning() -> None:
    """Send Lightning's log to train.log, and drop the warnings that do not apply here."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for message in (
        ".*does not have many workers.*",  # the data is in memory: they would have nothing to do
        "Checkpoint directory .* exists and is not empty",  # as it is when a run is resumed
        "Total length of .* across ranks is zero",  # of the validation's, with data.val_size=0
        ".*LeafSpec.*is deprecated",  # Lightning uses what torch will remove
        # A stack is one of Lightning's batches, so an epoch has few of them.
        ".*The number of training batches.*is smaller than the logging interval.*",
    ):
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(_is_no_tip)


def _is_no_tip(record: logging.LogRecord) -> bool:
    return "Tip: " not in record.getMessage()  # of what else Lightning's makers have to offer


def show_start(
    console: Console, choices: Mapping[str, str], model: Classifier, run_dir: Path
) -> None:
    """Print what is about to be trained, and where to."""
    chosen = [f"{group}={choices[group]}" for group in SHOWN_CHOICES if group in choices]
    network, *others = chosen or ["own configuration"]
    network += f" ({plural(sum(each.numel() for each in model.parameters()), 'parameter')})"
    console.print(", ".join([network, *others, f"seed={model.seed}"]), style="bold")
    console.print(f"run directory: {relative(run_dir)}")


def show_layers(console: Console, model: Classifier) -> None:
    """Print the network layer by layer, as Lightning's ModelSummary sees it for one image."""
    model.example_input_array = torch.zeros(1, 1, SIDE, SIDE)
    found = summarize(model, max_depth=-1)
    model.example_input_array = None
    sizes = (found.in_sizes, found.out_sizes)
    columns = (found.layer_names, found.layer_types, found.param_nums, *sizes)
    rows = [
        (name, kind, f"{number:,}", str(size_in), str(size_out))
        for name, kind, number, size_in, size_out in zip(*columns, strict=True)
        if name.startswith("network")  # the rest are metrics
    ]
    show_table(console, Table(("layer", "type", "parameters", "input", "output"), rows))


def show_summary(console: Console, run_dir: Path, metrics: Mapping[str, Any]) -> None:
    """Print the results as a table, and what to type next."""
    rows = []
    for part, title in (("val", "validation"), ("test", "test")):
        accuracy, number = metrics[f"{part}/accuracy"], metrics[f"num_{part}"]
        if accuracy is None:
            continue
        low, high = wilson_interval(round(accuracy * number), number)
        interval, loss = f"{low:.2%} to {high:.2%}", f"{metrics[f'{part}/loss']:.4f}"
        rows.append((title, f"{number:,}", f"{accuracy:.2%}", interval, loss))
    columns = ("split", "images", "accuracy", "95 % interval", "loss")
    if rows:
        show_table(console, Table(columns, rows, run_dir.name))
    if metrics.get("fold") is not None:
        console.print(f"not tested, as fold {metrics['fold']} of a cross-validation never is")
    elif metrics["test/accuracy"] is None:
        console.print("not tested; run the same command without test=false to test this model")
    trained = f"{plural(metrics['epochs'], 'epoch')} in {duration(metrics['train_time_s'])}"
    best = f"best after epoch {metrics['best_epoch']}"
    if metrics["val/accuracy"] is None:
        best = "not validated: the network is that of the last epoch"
    console.print(f"{trained}, {best}; dataset: {metrics['dataset']}")
    console.print(f"model, metrics and {CURVES}: {relative(run_dir)}")
    for profile in sorted(run_dir.glob("*-profile*")):
        console.print(f"profile: {relative(profile)}")
    if any(run_dir.rglob("events.out.tfevents.*")):
        console.print(f"to see the curves: tensorboard --logdir {relative(run_dir.parent)}")
    if metrics["dataset"] == SAMPLE:
        console.print(f"This was {NOT_MNIST}", style="bold red")
