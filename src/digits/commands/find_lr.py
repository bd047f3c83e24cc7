"""Find a learning rate: train for a moment with one that grows, and see where the loss falls.

Takes the choices and values of train.py, trains on the same minibatches, prints a table, draws
lr.png, and suggests the learning rate where the loss falls most steeply. It writes nothing else.

Examples:
  digits find-lr
  digits find-lr model=cnn optim=sgd augment=affine
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    overrides = "choices and values as of train.py, e.g. model=dropout optim=sgd"
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help=overrides)
    first, last = "the first learning rate (default: 1e-6)", "the last one (default: 10)"
    parser.add_argument("--low", type=float, default=1e-6, metavar="LR", help=first)
    parser.add_argument("--high", type=float, default=10, metavar="LR", help=last)
    steps = "optimizer steps, if the loss does not diverge (default: 200)"
    parser.add_argument("--steps", type=int, default=200, metavar="N", help=steps)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("outputs/find-lr"),
        metavar="DIR",
        help="where to write lr.png (default: outputs/find-lr)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Train, print and draw."""
    import shlex

    from omegaconf import OmegaConf

    from digits.app import compose
    from digits.config.errors import explain
    from digits.config.targets import check_targets
    from digits.errors import DigitsError
    from digits.files import relative
    from digits.page import Table, show_table
    from digits.text import screen, train_command

    low, high, out = arguments.low, arguments.high, arguments.out
    if not 0 < low < high < float("inf"):
        raise DigitsError(f"--low must be above 0 and below --high, got {low} and {high}")
    if arguments.steps < 20:
        raise DigitsError(f"--steps must be at least 20, got {arguments.steps}")
    config, console = compose(*arguments.overrides), screen()
    try:
        with console.status("training with a growing learning rate"):
            check_targets(OmegaConf.to_container(config))  # type: ignore[arg-type]
            from digits.figures import draw_range_test, save_figure
            from digits.training.find_lr import find_lr

            found = find_lr(config, low, high, arguments.steps)
            suggested = found.suggested
            out.mkdir(parents=True, exist_ok=True)
            each = found.rates, found.losses
            smoothed = found.smooth_rates, found.smooth_losses
            save_figure(draw_range_test(each, smoothed, suggested), out / "lr.png")
    except Exception as error:
        if line := explain(error):
            raise DigitsError(line) from error
        raise
    every = max(1, len(found.smooth_rates) // 12)
    pairs = zip(found.smooth_rates[::every], found.smooth_losses[::every], strict=True)
    rows = [(f"{rate:.2g}", f"{loss:.4f}") for rate, loss in pairs]
    show_table(console, Table(("optim.lr", "training loss"), rows))
    given = [each for each in arguments.overrides if not each.lstrip("+").startswith("optim.lr=")]
    command = [*given, f"{'' if 'lr' in config.optim else '+'}optim.lr={suggested:g}"]
    console.print(f"the loss falls most steeply at {suggested:g}: {relative(out / 'lr.png')}")
    console.print(f"try {train_command()} {shlex.join(command)}", style="bold")
    return 0
