"""How fast is the training, next to a loop written by hand and to common ways of using Lightning?

    python benchmarks/bench.py                 prints one table
    python benchmarks/bench.py --json FILE     keeps the figures, too

All contestants train the same network with the same optimizer on the same images, in one process,
in turn: one epoch each, again and again. So a machine that is busy at times slows all of them, and
the ratio of two neighbouring epochs is worth more than either time. Ratios are medians over the
rounds; the first round warms up and is left out. The slow ways take part in four rounds only.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from commands import data_paths, whole_commands
from contestants import CONTESTANTS, SETTINGS, SLOW, Setting
from evaluation import BARE, evaluations, reading_times
from greenlet import greenlet
from rich.console import Console
from rich.table import Table

BASE = "bare loop"
SLOW_ROUNDS = 4


def epoch_times(setting: Setting, names: list[str], num_rounds: int) -> dict[str, list[float]]:
    """Measure the seconds of each epoch of each contestant, round by round.

    A contestant trains for `num_rounds` epochs and calls `turn()` before each of them. It runs in
    a greenlet, which stops there until it is its turn again; all stay in one thread, since each
    thread that computes would bring its own pool of OpenMP threads.
    """
    referee = greenlet.getcurrent()
    times: dict[str, list[float]] = {name: [] for name in names}
    rounds = {name: min(num_rounds, SLOW_ROUNDS) if name in SLOW else num_rounds for name in names}
    runners = {}
    for name in names:
        train: Callable[..., None] = CONTESTANTS[name]
        runners[name] = greenlet(
            lambda train=train, epochs=rounds[name]: train(
                setting, epochs, lambda: referee.switch()
            )
        )
        runners[name].switch()  # up to its first `turn()`: set-up is not measured here
    for number in range(num_rounds):
        for name, runner in runners.items():
            if number >= rounds[name]:
                continue
            start = time.perf_counter()
            runner.switch()
            times[name].append(time.perf_counter() - start)
    return times


def ratios(
    times: dict[str, list[float]], base: str
) -> Iterator[tuple[str, float, float, float, float]]:
    """Yield name, median seconds, and the ratio to the base: median, minimum, maximum."""
    for name, seconds in times.items():
        paired = [own / other for own, other in zip(seconds[1:], times[base][1:], strict=False)]
        yield (
            name,
            statistics.median(seconds[1:]),
            statistics.median(paired),
            min(paired),
            max(paired),
        )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here as well")
    parser.add_argument("--rounds", type=int, default=11, help="epochs each, the first to warm up")
    parser.add_argument("--settings", nargs="*", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--contestants", nargs="*", choices=list(CONTESTANTS), default=None)
    parser.add_argument("--no-commands", action="store_true", help="the training loops only")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    names = [name for name in CONTESTANTS if name in (arguments.contestants or CONTESTANTS)]
    names = [BASE] + [name for name in names if name != BASE]

    console = Console()
    results: dict[str, Any] = {"machine": machine(arguments.threads), "epoch_times_s": {}}
    console.print(results["machine"])
    for key in arguments.settings:
        setting = SETTINGS[key]
        times = epoch_times(setting, names, arguments.rounds)
        print_table(console, f"{key}: {setting.description}; one epoch", times)
        results["epoch_times_s"][key] = times
    if not arguments.no_commands:
        results["data_path_times_s"] = data_paths(3)
        title = "batches only, without training, batch 64"
        print_table(console, title, results["data_path_times_s"], "float tensors in memory")
        results["evaluation_times_s"] = evaluations(5)
        title = "10,000 images classified, 784-512-256-10"
        print_table(console, title, results["evaluation_times_s"], BARE)
        results["reading_times_s"] = reading_times(5)
        seconds = statistics.median(results["reading_times_s"])
        console.print(f"70,000 images read from the disk and checked: {seconds:.2f} s")
        results["commands_s_mb"] = whole_commands(num_epochs=10, num_rounds=3)
        print_commands(console, results["commands_s_mb"])
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


def print_table(
    console: Console, title: str, times: dict[str, list[float]], base: str = BASE
) -> None:
    """Print medians, and ratios to one contestant."""
    table = Table(title=title, title_justify="left")
    for column in ("", "s", "ratio", "min", "max"):
        table.add_column(column, justify="right" if column else "left")
    for name, seconds, ratio, low, high in ratios(times, base):
        table.add_row(
            name,
            f"{seconds:.2f}" if seconds > 0.1 else f"{seconds:.3f}",
            f"{ratio:.2f}",
            f"{low:.2f}",
            f"{high:.2f}",
        )
    console.print(table)


def print_commands(console: Console, commands: dict[str, list[tuple[float, float]]]) -> None:
    """Print time and memory of whole processes."""
    table = Table(title="whole processes, 10 epochs", title_justify="left")
    for column in ("", "s", "peak memory, MB"):
        table.add_column(column, justify="right" if column else "left")
    for name, figures in commands.items():
        seconds, megabytes = (statistics.median(column) for column in zip(*figures, strict=True))
        table.add_row(name, f"{seconds:.1f}", f"{megabytes:.0f}")
    console.print(table)


def machine(num_threads: int) -> str:
    """Say what the figures were measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return f"{os.cpu_count()} cores of {model}, {num_threads} threads, torch {torch.__version__}"


if __name__ == "__main__":
    main()
