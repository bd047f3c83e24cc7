"""What the screen says of a search."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.study import Study
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from digits.data.datasets import SAMPLE
from digits.runs import finished_metrics
from digits.search.options import NUM_TRIALS, in_words
from digits.search.outcome import Outcome
from digits.search.plan import Plan
from digits.search.study import STUDY_FILE, unbeaten


class SearchScreen:
    """A line for each trial, and on a terminal a bar below them.

    Args:
        plan: the search.
        num_done: trials that were there already.
    """

    def __init__(self, plan: Plan, num_done: int) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.plan, self.num_done = plan, num_done
        self._num_run, self._started = 0, time.perf_counter()
        self._progress = Progress(
            TextColumn("searching"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("trials"),
            TimeElapsedColumn(),
            console=self.console,
            refresh_per_second=1,  # drawing takes milliseconds, in which the training waits
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._progress.add_task("", total=plan.n_trials, completed=num_done)

    def start(self, sweep_dir: Path, why_not_pruned: str | None) -> None:
        """Says what is searched, and where the results will be."""
        options = self.plan.options
        aims = [
            f"the {'highest' if direction == 'maximize' else 'lowest'} {objective}"
            for objective, direction in zip(options.objectives, options.directions, strict=True)
        ]
        at_once = f", {self.plan.n_jobs} at a time" if self.plan.n_jobs > 1 else ""
        self.console.print(
            f"[bold]{self.plan.n_trials} trials for {' and '.join(aims)}: "
            f"sampler {options.sampler}, seed {options.seed}, "
            f"pruner {options.pruner or 'none'}{at_once}[/bold]"
        )
        if options.pruner and why_not_pruned:
            self.console.print(f"no trial is pruned: {why_not_pruned}")
        for key, dimension in self.plan.space.items():
            self.console.print(f"  {key}={dimension}", markup=False)
        self.console.print(f"search directory: {sweep_dir}")
        if self.num_done >= self.plan.n_trials:
            more = f"hydra.sweeper.n_trials={self.num_done + NUM_TRIALS}"
            self.console.print(f"all {self.num_done} trials are there: nothing to do; try {more}")
        elif self.num_done:
            self.console.print(f"goes on after {self.num_done} trials")
        self._progress.start()

    def advance(self, num_trials: int) -> None:
        """Moves the bar on after a batch."""
        self._num_run += num_trials
        self._progress.advance(self._task, num_trials)

    def show(self, number: int, params: Mapping[str, Any], outcome: Outcome, study: Study) -> None:
        """Says what has come of a trial."""
        self.num_done += 1
        total, objectives = self.plan.n_trials, self.plan.options.objectives
        parts = [f"{self.num_done:>{len(str(total))}}/{total}  trial {number}"]
        parts += [f"{key.rpartition('.')[2]} {value}" for key, value in params.items()]
        if outcome.values is not None:
            parts += _in_words(objectives, outcome.values)
        else:
            parts.append(f"{'pruned' if outcome.pruned else 'failed:'} {outcome.reason}")
        best = unbeaten(study)
        numbers = ", ".join(str(trial.number) for trial in best)
        if len(objectives) > 1:
            parts.append(f"unbeaten: {numbers}")
        elif best:
            parts.append(f"best {in_words(objectives[0], best[0].values[0])} (trial {numbers})")
        if left := total - self.num_done:
            each = (time.perf_counter() - self._started) / self._num_run
            parts.append(f"about {_duration(each * left)} left")
        self.console.print("  ".join(parts), markup=False)

    def stop(self) -> None:
        """Takes the bar away."""
        self._progress.stop()

    def show_result(
        self, study: Study, failed: Sequence[Outcome], sweep_dir: Path, files: Sequence[str]
    ) -> None:
        """Says which trials are best and which failed, and what to type next."""
        objectives = self.plan.options.objectives
        word = "best" if len(objectives) == 1 else "unbeaten"
        for trial in unbeaten(study):
            parts = [f"{word}: trial {trial.number}", *_in_words(objectives, trial.values)]
            parts += [f"{key}={value}" for key, value in trial.params.items()]
            self.console.print("  ".join(parts), markup=False, style="bold")
            run_dir = sweep_dir / trial.user_attrs["run"]
            self.console.print(f"  its run: {run_dir}", markup=False)
            if (finished_metrics(run_dir) or {}).get("dataset") == SAMPLE:
                warning = "This was the embedded sample of 5,000 images, not MNIST."
                self.console.print(f"  {warning}", style="bold red")
        if files:
            name = sweep_dir.name
            self.console.print(f"{', '.join(files)}: {sweep_dir}")
            self.console.print(
                f"to train it again: cp {sweep_dir / files[0]} conf/experiment/{name}.yaml; "
                f"python train.py experiment={name}"
            )
        self.console.print(
            f"to browse the trials: optuna-dashboard sqlite:///{sweep_dir / STUDY_FILE}"
        )
        for outcome in failed:
            self.console.print(f"failed: {outcome.run_dir.name}: {outcome.reason}", markup=False)


def _in_words(objectives: Sequence[str], values: Sequence[float]) -> list[str]:
    return [
        f"{name} {in_words(name, value)}" for name, value in zip(objectives, values, strict=True)
    ]


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{math.ceil(seconds / 60)} min"
