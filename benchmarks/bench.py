"""How fast is the training, next to a loop written by hand and to common ways of using Lightning?

    python benchmarks/bench.py                 prints one table
    python benchmarks/bench.py --json FILE     keeps the figures, too

All contestants train the same network with the same optimizer on the same images, in one process,
in turn: one epoch each, again and again. So a machine that is busy at times slows all of them, and
the ratio of two neighbouring epochs is worth more than either time. Ratios are medians over the
rounds; the first round warms up and is left out.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from contestants import CONTESTANTS, SETTINGS, Setting
from greenlet import greenlet
from rich.console import Console
from rich.table import Table

BASE = "bare loop"


def epoch_times(setting: Setting, names: list[str], num_rounds: int) -> dict[str, list[float]]:
    """Measures the seconds of each epoch of each contestant, round by round.

    A contestant trains for `num_rounds` epochs and calls `turn()` before each of them. It runs in
    a greenlet, which stops there until it is its turn again; all stay in one thread, since each
    thread that computes would bring its own pool of OpenMP threads.
    """
    referee = greenlet.getcurrent()
    times: dict[str, list[float]] = {name: [] for name in names}
    runners = {}
    for name in names:
        train: Callable[..., None] = CONTESTANTS[name]
        runners[name] = greenlet(
            lambda train=train: train(setting, num_rounds, lambda: referee.switch())
        )
        runners[name].switch()  # up to its first `turn()`: set-up is not measured here
    for _ in range(num_rounds):
        for name, runner in runners.items():
            start = time.perf_counter()
            runner.switch()
            times[name].append(time.perf_counter() - start)
    return times


def ratios(times: dict[str, list[float]]) -> Iterator[tuple[str, float, float, float, float]]:
    """Yields name, median seconds, and the ratio to the bare loop: median, minimum, maximum."""
    for name, seconds in times.items():
        paired = [own / base for own, base in zip(seconds[1:], times[BASE][1:], strict=True)]
        yield (
            name,
            statistics.median(seconds[1:]),
            statistics.median(paired),
            min(paired),
            max(paired),
        )


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here as well")
    parser.add_argument("--rounds", type=int, default=11, help="epochs each, the first to warm up")
    parser.add_argument("--settings", nargs="*", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--contestants", nargs="*", choices=list(CONTESTANTS), default=None)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    names = [name for name in CONTESTANTS if name in (arguments.contestants or CONTESTANTS)]
    names = [BASE] + [name for name in names if name != BASE]

    console = Console()
    results = {}
    for key in arguments.settings:
        setting = SETTINGS[key]
        times = epoch_times(setting, names, arguments.rounds)
        table = Table(title=f"{key}: {setting.description}", title_justify="left")
        for column in ("contestant", "s / epoch", "ratio", "min", "max"):
            table.add_column(column, justify="left" if column == "contestant" else "right")
        for name, seconds, ratio, low, high in ratios(times):
            table.add_row(name, f"{seconds:.2f}", f"{ratio:.2f}", f"{low:.2f}", f"{high:.2f}")
        console.print(table)
        results[key] = times
    if arguments.json:
        arguments.json.write_text(json.dumps({"epoch_times_s": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
