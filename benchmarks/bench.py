"""How fast is digits, next to a loop written by hand and to common ways of using Lightning?

    python benchmarks/bench.py                         prints all tables
    python benchmarks/bench.py --tables loops beside   some of them
    python benchmarks/bench.py --json FILE             keeps the figures, too

Every figure that matters is a ratio, measured within one run: contestants take turns, again and
again, so that a machine that is busy at times slows all of them. Ratios are medians over rounds.

In the table of training loops all train the same network with the same optimizer on the same
images, in one process, one epoch each in turn; the first round warms up and is left out, and the
slow ways take part in four rounds only. The bare loop has the better of one and two threads.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from commands import IMPORT_TORCH, beside_other_work, start_up, verbs
from contestants import CONTESTANTS, SETTINGS, SLOW, Setting
from greenlet import greenlet
from rich.console import Console

from digits.page import Table, show_table
from digits.training.status import this_machine

SLOW_ROUNDS = 4


@dataclass(frozen=True)
class Times:
    """Seconds of each contestant, round by round, and which of them is the yardstick."""

    title: str
    times: dict[str, list[float]]
    base: str
    warm_up: int = 0  # rounds that are left out


def epoch_times(setting: Setting, names: list[str], num_rounds: int) -> dict[str, list[float]]:
    """Measure the seconds of each epoch of each contestant, round by round.

    A contestant trains for `num_rounds` epochs and calls `turn()` before each of them. It runs in
    a greenlet, which stops there until it is its turn again; all stay in one thread, since each
    thread that computes would bring its own pool of OpenMP threads.
    """
    referee = greenlet.getcurrent()
    threads = {name: int(name.rpartition(" ")[2]) for name in names if "threads: " in name}

    def turn(name: str) -> None:
        mine = torch.get_num_threads()
        referee.switch()
        torch.set_num_threads(threads.get(name, mine))

    times: dict[str, list[float]] = {name: [] for name in names}
    rounds = {name: min(num_rounds, SLOW_ROUNDS) if name in SLOW else num_rounds for name in names}
    runners = {}
    for name in names:
        train: Callable[..., None] = CONTESTANTS[name]
        runners[name] = greenlet(
            lambda name=name, train=train: train(setting, rounds[name], lambda: turn(name))
        )
        torch.set_num_threads(os.cpu_count() or 1)
        runners[name].switch()  # up to its first `turn()`: set-up is not measured here
    for number in range(num_rounds):
        for name, runner in runners.items():
            if number >= rounds[name]:
                continue
            start = time.perf_counter()
            runner.switch()
            times[name].append(time.perf_counter() - start)
    return times


def ratios(measured: Times) -> Iterator[tuple[str, float, float, float, float]]:
    """Yield name, median seconds, and the ratio to the yardstick: median, minimum, maximum."""
    base = measured.times[measured.base][measured.warm_up :]
    for name, times in measured.times.items():
        seconds = times[measured.warm_up :]
        paired = [own / other for own, other in zip(seconds, base, strict=False)]
        middle = statistics.median(paired)
        yield name, statistics.median(seconds), middle, min(paired), max(paired)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here as well")
    parser.add_argument("--tables", nargs="*", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--rounds", type=int, help="of each table, in place of its own number")
    arguments = parser.parse_args()
    console = Console()
    results: dict[str, Any] = {"machine": machine()}
    console.print(results["machine"])
    for name in arguments.tables:
        measure, num_rounds = TABLES[name]
        results[name] = {}
        for table in measure(arguments.rounds or num_rounds):
            show_table(console, as_table(table))
            results[name][table.title] = table.times
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


def training_loops(num_rounds: int) -> Iterator[Times]:
    """Yield an epoch of each way of training, for each setting."""
    for key, setting in SETTINGS.items():
        times = epoch_times(setting, list(CONTESTANTS), num_rounds)
        loops = [name for name in times if "threads: " in name]
        better = min(loops, key=lambda name: statistics.median(times[name][1:]))
        yield Times(f"{key}: {setting.description}; one epoch", times, better, warm_up=1)


def commands(num_rounds: int) -> Iterator[Times]:
    """Yield whole commands in multiples of importing torch."""
    yield Times("from the shell to training, and back", start_up(num_rounds), IMPORT_TORCH)
    yield Times("verbs, as whole processes", verbs(num_rounds), IMPORT_TORCH)


def beside(num_rounds: int) -> Iterator[Times]:
    """Yield an epoch alone and beside busy processes."""
    for name, times in beside_other_work(num_rounds).items():
        yield Times(f"{name}; one epoch", times, "alone")


TABLES: dict[str, tuple[Callable[[int], Iterator[Times]], int]] = {
    "loops": (training_loops, 11),
    "commands": (commands, 5),
    "beside": (beside, 3),
}
"""What measures each table, and in how many rounds."""


def as_table(measured: Times) -> Table:
    """Return medians, and ratios to the yardstick."""
    rows = [
        (name, f"{seconds:.3g}", *(f"{ratio:.2f}" for ratio in found))
        for name, seconds, *found in ratios(measured)
    ]
    return Table(("", "s", "ratio", "min", "max"), rows, measured.title)


def machine() -> str:
    """Say what the figures were measured on."""
    found = this_machine()
    return f"{found['cores']} cores of {found['processor']}, torch {torch.__version__}"


if __name__ == "__main__":
    main()
