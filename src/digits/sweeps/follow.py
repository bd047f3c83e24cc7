"""What the screen shows while a sweep runs: a line for each job, and the result at the end."""

import json
import math
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from digits.config.overrides import is_plain_sweep, parsed, values
from digits.config.resolvers import register_resolvers
from digits.errors import DigitsError
from digits.files import relative, write_atomically
from digits.run_directory import FINISHED, RUNNING, Run, changes_result, locked, read_json
from digits.sweeps.leaderboard import (
    STUDY,
    by_rank,
    job_name,
    ranked_groups,
    ranking,
    write_leaderboard,
)
from digits.text import accuracy, duration, plural, screen

PLAN = ".sweep.json"
"""Written when a sweep begins: its overrides, how many jobs it has, and which were finished."""
SHOWN_GROUPS = 5


class FollowSweep(Callback):
    """What the screen shows of sweeps of Hydra's own sweeper; a search reports for itself.

    A job's process may be another one (a launcher's), so what they share is in files.
    """

    sweep_dir: ClassVar[Path | None] = None
    """Of the sweep that this process has begun and not ended."""
    held: ClassVar = ExitStack()
    """Keeps other processes from starting the same sweep."""

    def __reduce__(self) -> Any:
        return _in_another_process, ()

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        if not is_plain_sweep(config):
            return
        overrides = parsed(config, _loader())
        sweep_dir = FollowSweep.sweep_dir = Path(config.hydra.sweep.dir).absolute()
        sweep_dir.mkdir(parents=True, exist_ok=True)
        done = [job_name(sweep_dir, job) for job in write_leaderboard(sweep_dir) if job.is_finished]
        number = math.prod(len(values(override)) for override in overrides)
        plan = {"num_jobs": number, "done": done, "time": time.time(), "asked": _asked(overrides)}
        write_atomically(sweep_dir / PLAN, json.dumps(plan))
        resumed = f", {len(done)} of them finished already" if done else ""
        screen().print(f"{plural(number, 'job')}{resumed}: {relative(sweep_dir)}", style="bold")

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        hydra = HydraConfig.get()
        if hydra.mode is not RunMode.MULTIRUN or not is_plain_sweep(config):
            return
        sweep_dir = Path(hydra.sweep.dir).absolute()
        jobs = write_leaderboard(sweep_dir)
        run_dir = Path(hydra.runtime.output_dir).absolute()
        plan = _read_plan(sweep_dir)
        for job in jobs:
            name = job_name(sweep_dir, job)
            if job.dir == run_dir and name not in plan["done"]:
                style = None if job.is_finished else "bold red"
                screen().print(_line(name, job, jobs, plan), style=style)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        # Hydra does not come here if a job failed.
        if FollowSweep.sweep_dir is not None:
            _show_result(FollowSweep.sweep_dir)
            FollowSweep.sweep_dir = None
            FollowSweep.held.close()


def check_same_sweep(config: DictConfig) -> None:
    """Refuse to put other jobs into the directory of a sweep or search than it was made for.

    Jobs are numbered: those of another sweep would stand beside the old ones, and some twice.
    """
    sweep_dir = Path(config.hydra.sweep.dir)
    is_own = any(any(sweep_dir.glob(each)) for each in (PLAN, STUDY, "*/.hydra"))
    for file in () if is_own else sweep_dir.glob("leaderboard.*"):
        raise DigitsError(
            f"{relative(sweep_dir)} holds {file.name} and is not a sweep directory; "
            "try another folder, so that nothing in it is overwritten"
        )
    if not is_plain_sweep(config):
        return
    if (sweep_dir / STUDY).exists():
        raise DigitsError(f"{sweep_dir} holds a search; try another name=SWEEP")
    old, new = _read_plan(sweep_dir).get("asked"), _asked(parsed(config, _loader()))
    if old is not None and old != new:
        raise DigitsError(
            f"{sweep_dir} holds a sweep of {' '.join(old)}, not of {' '.join(new)}; "
            "try another name=SWEEP"
        )


def hold_sweep(config: DictConfig) -> None:
    """Keep a sweep's directory for this process until the sweep ends, or raise."""
    if is_plain_sweep(config):
        sweep_dir = Path(config.hydra.sweep.dir)
        sweep_dir.mkdir(parents=True, exist_ok=True)
        FollowSweep.held.enter_context(locked(sweep_dir))


def failed_jobs() -> list[str]:
    """End the sweep that this process has begun, if any; return what to print of failed jobs."""
    FollowSweep.held.close()
    if FollowSweep.sweep_dir is None:
        return []
    sweep_dir, FollowSweep.sweep_dir = FollowSweep.sweep_dir, None
    jobs = _show_result(sweep_dir)
    failed = [job for job in jobs if job.status not in (FINISHED, "")]
    if not failed:
        return []
    lines = [f"{plural(len(failed), 'job')} failed; see the train.log in each directory"]
    lines += [f"error: {job_name(sweep_dir, job)}: {_failure(job)}" for job in failed]
    num_begun = sum(job.status != "" for job in jobs)
    if (left := _read_plan(sweep_dir).get("num_jobs", 0) - num_begun) > 0:
        # A launcher whose process was killed, e.g. for lack of memory, starts no other job.
        resume = f"run the same command with name={sweep_dir.name} to resume"
        lines.append(f"error: {plural(left, 'job')} did not begin; {resume}")
    return lines


def update_leaderboard() -> None:
    """Bring the leaderboard up to date of the sweep that this process has begun, if any."""
    if FollowSweep.sweep_dir is not None:
        write_leaderboard(FollowSweep.sweep_dir)


def _show_result(sweep_dir: Path) -> list[Run]:
    """Print the best groups of a sweep; return its jobs."""
    console, jobs = screen(), write_leaderboard(sweep_dir)
    for rank, group in enumerate(ranked_groups(jobs)[:SHOWN_GROUPS], start=1):
        validation, test, _ = group.cells
        number = f"{rank}." if group.values("val/accuracy") else "not ranked:"
        size = f" ({group.size})" if len(group.runs) > 1 or group.num_folds else ""
        console.print(f"{number} {group.name}{size}: validation {validation}, test {test}")
    place = relative(sweep_dir)
    drawn = ", .png" if any(job.val_accuracy is not None for job in jobs) else ""
    console.print(f"{ranking(jobs)}; all jobs: {place}/leaderboard.md (.csv{drawn})")
    return jobs


def _line(name: str, job: Run, jobs: Sequence[Run], plan: Mapping[str, Any]) -> str:
    """Return e.g. "job 3 of 12  2_sgd  val/accuracy 98.10%  best 98.31% (number 1)  ..."."""
    num_jobs, num_ended = plan["num_jobs"], sum(job.status not in ("", RUNNING) for job in jobs)
    head = f"job {num_ended:>{len(str(num_jobs))}} of {num_jobs}  {name:<40}"
    if not job.is_finished:
        return f"{head}  {job.status}"  # the reasons come at the end
    line = f"{head}  test/accuracy {accuracy(job.test_accuracy)}"
    if job.val_accuracy is not None:
        line = f"{head}  val/accuracy {job.val_accuracy:.2%}"
    if job.val_accuracy is not None and job.fold is None:  # folds' images are not equally hard
        best = by_rank(jobs)[0]
        number = best.dir.name.partition("_")[0]  # with a `hydra.sweep.subdir`, there may be none
        which = f" (number {number})" if number.isdecimal() else ""
        line += f"  best {best.val_accuracy:.2%}{which}"
    if num_ended == num_jobs:
        return line
    seconds_a_job = (time.time() - plan["time"]) / max(1, num_ended - len(plan["done"]))
    return f"{line}  about {duration(seconds_a_job * (num_jobs - num_ended))} left"


def _failure(job: Run) -> str:
    if job.status == RUNNING:
        return "was killed, or another process is still training it"
    return f"{job.status}: {job.reason}" if job.reason else job.status


def _asked(overrides: Sequence[Override]) -> list[str]:
    """Return what a sweep's jobs are made of: its overrides, but for what changes no result."""
    return [str(each.input_line) for each in overrides if changes_result(each.key_or_group)]


def _read_plan(sweep_dir: Path) -> dict[str, Any]:
    try:
        return read_json(sweep_dir / PLAN)
    except DigitsError:
        return {}


def _loader() -> ConfigLoader:
    return GlobalHydra.instance().config_loader()


def _in_another_process() -> FollowSweep:
    register_resolvers()  # a launcher's process unpickles this before it composes
    if "joblib" in sys.modules:
        _end_with_parent()
    return FollowSweep()


@cache
def _end_with_parent() -> None:
    """End joblib's process if the one that started it is killed; it would wait forever."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(5)
        os._exit(1)  # like a kill, after which a run can be resumed

    threading.Thread(target=watch, daemon=True).start()
