"""What a run says about itself: on the screen, and in metrics.json."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from digits.data.datasets import SAMPLE
from digits.files import relative
from digits.statistics import wilson_interval


def show_start(
    console: Console,
    config: DictConfig,
    choices: Mapping[str, str],
    seed: int,
    run_dir: Path,
) -> None:
    """Prints what is about to be trained, and where to."""
    what = ", ".join(
        f"{group}={choices[group]}"
        for group in ("model", "optim", "norm", "schedule")
        if group in choices
    )
    console.print(f"[bold]{what}, seed={seed}[/bold]")
    console.print(f"run directory: {relative(run_dir)}")


def show_summary(console: Console, run_dir: Path, metrics: Mapping[str, Any]) -> None:
    """Prints the results as a table, and what to type next."""
    table = Table(title=f"{run_dir.name}", title_justify="left", title_style="bold")
    for column in ("images of", "number", "accuracy", "95 % interval", "loss"):
        table.add_column(column, justify="left" if column == "images of" else "right")
    for part, title in (("val", "validation"), ("test", "test")):
        accuracy, number = metrics[f"{part}/accuracy"], metrics[f"num_{part}"]
        if accuracy is None:
            continue
        low, high = wilson_interval(round(accuracy * number), number)
        table.add_row(
            title,
            f"{number:,}",
            f"{accuracy:.2%}",
            f"{low:.2%} to {high:.2%}",
            f"{metrics[f'{part}/loss']:.4f}",
        )
    console.print(table)
    if metrics["test/accuracy"] is None:
        console.print("not tested; the same command without test=false tests this model")
    epochs = "1 epoch" if metrics["epochs"] == 1 else f"{metrics['epochs']} epochs"
    time = f"{epochs} in {metrics['train_time_s']:.1f} s"
    console.print(
        f"{time}, best after epoch {metrics['best_epoch']}; dataset: {metrics['dataset']}"
    )
    console.print(f"model, metrics and loss_curves.png: {relative(run_dir)}")
    for profile in sorted(run_dir.glob("*-profile*")):
        console.print(f"profile: {relative(profile)}")
    console.print(f"to browse the curves: tensorboard --logdir {relative(run_dir.parent)}")
    if metrics["dataset"] == SAMPLE:
        console.print(
            "[bold red]This was the embedded sample of 5,000 images, not MNIST: "
            "do not compare these figures with "
            "those of MNIST.[/bold red]"
        )
