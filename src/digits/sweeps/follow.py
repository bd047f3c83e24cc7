"""What the screen shows while a sweep runs: a line for each job, and the result at the end."""

import functools
import json
import math
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape

from digits.config.resolvers import register_resolvers
from digits.config.overrides import values
from digits.files import relative, write_atomically
from digits.runs import FINISHED, RUNNING, in_use
from digits.sweeps.grid import STARTED, asked, started
from digits.sweeps.grid import check_grid as check_same_sweep  # noqa: F401
from digits.sweeps.jobs import Job, by_rank, groups
from digits.sweeps.leaderboard import group_cells, write_leaderboard


class FollowSweep(Callback):
    """Follows the sweeps of Hydra's own sweeper; a search has a voice of its own.

    A job's process may be another one (a launcher's), so what they share is in files.
    """

    sweep_dir: ClassVar[Path | None] = None
    """Of the sweep that this process has begun."""

    def __reduce__(self) -> Any:
        """Makes a launcher's process, which receives this, know what configurations ask for."""
        return _in_another_process, ()

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Says what is about to run."""
        if not _is_followed(config):
            return
        number = _num_jobs(config)
        sweep_dir = FollowSweep.sweep_dir = Path(config.hydra.sweep.dir).absolute()
        sweep_dir.mkdir(parents=True, exist_ok=True)
        jobs = write_leaderboard(sweep_dir)
        done = [job.path.name for job in jobs if _is_done(job, config.test)]
        started = {"num_jobs": number, "done": done, "time": time.time(), "asked": asked(config)}
        started["test"] = config.test
        write_atomically(sweep_dir / STARTED, json.dumps(started).encode())
        resumed = f", {len(done)} of them finished already" if done else ""
        _console().print(f"[bold]{number} jobs{resumed}[/bold]: {relative(sweep_dir)}")

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Brings the leaderboard up to date and says how the job went."""
        hydra = HydraConfig.get()
        if hydra.mode is not RunMode.MULTIRUN or not _is_followed(config):
            return
        sweep_dir = Path(hydra.sweep.dir)
        jobs = write_leaderboard(sweep_dir)
        run = Path(hydra.runtime.output_dir).name
        job = next((each for each in jobs if each.path.name == run), None)
        plan = started(sweep_dir)
        if job and run not in plan["done"]:
            _console().print(_line(job, jobs, plan))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Prints the best groups; Hydra does not come here if a job failed."""
        if FollowSweep.sweep_dir is not None:
            show_result(FollowSweep.sweep_dir)
            FollowSweep.sweep_dir = None


def _in_another_process() -> FollowSweep:
    register_resolvers()
    end_with_parent()
    return FollowSweep()


@functools.cache
def end_with_parent() -> None:
    """Has this process end when the one that started it does; joblib's would wait for ever."""
    parent = os.getppid()

    def watch() -> None:
        while True:
            time.sleep(5)
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGTERM)  # a training first writes a checkpoint

    if "joblib" in sys.modules:
        threading.Thread(target=watch, daemon=True).start()


def show_result(sweep_dir: Path) -> list[str]:
    """Prints the best groups of a sweep; returns one line for each job that did not end well."""
    console, jobs = _console(), write_leaderboard(sweep_dir)
    for rank, group in enumerate(groups(jobs)[:5], start=1):
        validation, test, _time = group_cells(group)
        seeds = f" ({len(group.jobs)} seeds)" if len(group.jobs) > 1 else ""
        name = escape(group.name or sweep_dir.name)
        console.print(f"{rank}. {name}{seeds}: validation {validation}, test {test}")
    place = relative(sweep_dir)
    console.print(f"ranked by validation; all jobs: {place}/leaderboard.md (.csv, .png)")
    lines = [
        f"{job.path.name}: {_failure(job)}" for job in jobs if job.status not in (FINISHED, "")
    ]
    begun = sum(job.status != "" for job in jobs)
    if lines and (left := started(sweep_dir).get("num_jobs", 0) - begun) > 0:
        # A launcher whose process was killed, as for want of memory, starts no other job.
        lines.append(f"{left} more did not begin; the same command with name={sweep_dir.name}")
    return lines


def _num_jobs(config: DictConfig) -> int:
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    lines = [f"{key}={value}" for key, value in params.items()] + list(config.hydra.overrides.task)
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    return math.prod(len(values(override)) for override in parser.parse_overrides(lines))


def _is_done(job: Job, test: bool) -> bool:
    """Whether the sweep has nothing left to do for a job; it may still be tested."""
    tested = job.metrics.get("test/accuracy") is not None
    test = job.options.get("test", str(test)).lower() != "false"  # which may be what is varied
    return job.status == FINISHED and (tested or not test)


def _failure(job: Job) -> str:
    if job.status == RUNNING:
        return "in use by another process" if in_use(job.path) else "was killed"
    return job.reason or job.status


def _line(job: Job, jobs: list[Job], started: dict[str, Any]) -> str:
    ended = [
        each
        for each in jobs
        if each.status not in ("", RUNNING, FINISHED) or _is_done(each, started.get("test", True))
    ]
    width = len(str(started["num_jobs"]))
    head = f"job {len(ended):>{width}} of {started['num_jobs']}  {job.path.name:<40}"
    if job.accuracy is None:
        status = "" if job.status == RUNNING else f"{job.status}: "
        return f"{head}  [bold red]{status}{escape(_failure(job))}[/bold red]"
    best = by_rank(jobs)[0]
    number = best.path.name.partition("_")[0]
    parts = [f"val/accuracy {job.accuracy:.2%}", f"best {best.accuracy:.2%} (number {number})"]
    done_now = len(ended) - len(started["done"])
    left = started["num_jobs"] - len(ended)
    if left > 0 and done_now > 0:
        seconds = (time.time() - started["time"]) / done_now * left
        parts.append(f"about {_duration(seconds)} left")
    return f"{head}  {'  '.join(parts)}"


def _is_followed(config: DictConfig) -> bool:
    return str(config.hydra.sweeper._target_).endswith(".BasicSweeper")


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{math.ceil(seconds / 60)} min"


def failed_jobs() -> list[str]:
    """End the sweep that this process has begun; return what to print of jobs that failed."""
    if FollowSweep.sweep_dir is None:
        return []
    sweep_dir, FollowSweep.sweep_dir = FollowSweep.sweep_dir, None
    lines = [f"error: {line}" for line in show_result(sweep_dir)]
    return lines and [f"{len(lines)} jobs failed; see the train.log in each directory", *lines]


def interrupted_sweep() -> Path | None:
    """Return the directory of the sweep that this process has begun, its leaderboard up to date."""
    if FollowSweep.sweep_dir is not None:
        write_leaderboard(FollowSweep.sweep_dir)
    return FollowSweep.sweep_dir
