"""The jobs of a sweep, read from their run directories."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digits.errors import DigitsError
from digits.runs import FINISHED, read_json, read_metrics, read_overrides

SEED = "seed"
DAMAGED = "damaged"
SAY_LITTLE = ("none", "true", "false")
"""Values that are not understood without their key."""


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        path: its directory.
        options: what was asked of it by name, e.g. {"model": "dropout", "seed": "1"}.
        status: "finished", "failed", "stopped", "running" (or killed), "damaged" if a file of it
            cannot be read, or "" before it starts.
        reason: why it failed, in one line.
        metrics: metrics.json of a finished job, else empty.
    """

    path: Path
    options: Mapping[str, str]
    status: str
    reason: str
    metrics: Mapping[str, Any]

    @property
    def accuracy(self) -> float | None:
        """Validation accuracy of a finished job."""
        return self.metrics.get("val/accuracy")


def read_jobs(sweep_dir: Path) -> list[Job]:
    """Reads all jobs that have begun, in the order of their numbers."""
    folders = [folder for folder in sweep_dir.iterdir() if (folder / ".hydra").is_dir()]
    return [_read(folder) for folder in sorted(folders, key=_number)]


def _number(folder: Path) -> tuple[int, str]:
    digits = folder.name.partition("_")[0]
    return (int(digits) if digits.isdigit() else 10**9, folder.name)


def _read(folder: Path) -> Job:
    try:
        return _read_files(folder)
    except DigitsError as error:
        return Job(folder, {}, DAMAGED, f"{error}; delete that file", {})


def _read_files(folder: Path) -> Job:
    has_begun = (folder / ".hydra" / "overrides.yaml").exists()
    options = {}
    for line in read_overrides(folder) if has_begun else ():
        key, _, value = line.partition("=")
        options[key.lstrip("+")] = value
    options.pop("name", None)
    status = read_json(folder / "status.json") if (folder / "status.json").exists() else {}
    word, reason = (" ".join(str(status.get(key, "")).split()) for key in ("status", "reason"))
    is_finished = word == FINISHED and (folder / "model.pt").exists()
    metrics = read_metrics(folder) if is_finished else {}
    return Job(folder, options, word, reason, metrics)


def varied(jobs: Sequence[Job]) -> list[str]:
    """Returns the options that are not the same for all jobs, in their order."""
    keys = dict.fromkeys(key for job in jobs for key in job.options)
    return [key for key in keys if len({job.options.get(key) for job in jobs}) > 1]


def by_rank(jobs: Iterable[Job]) -> list[Job]:
    """Returns the jobs by falling validation accuracy; those without one come last."""
    return sorted(jobs, key=lambda job: -1.0 if job.accuracy is None else job.accuracy)[::-1]


@dataclass(frozen=True)
class Group:
    """Finished jobs that differ in their seeds only.

    Attributes:
        options: what distinguishes the group from others.
        jobs: its jobs.
    """

    options: Mapping[str, str]
    jobs: Sequence[Job]

    def mean_std(self, metric: str) -> tuple[float, float | None]:
        """Returns the mean over the seeds and the sample's standard deviation, if there are two."""
        values = [job.metrics[metric] for job in self.jobs if job.metrics.get(metric) is not None]
        if not values:
            return float("nan"), None
        return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None

    @property
    def name(self) -> str:
        """Returns the values of its options, e.g. "dropout, adam, lr 0.1, augment none"."""
        return ", ".join(
            f"{key.rpartition('.')[2]} {value}"
            if "." in key or value.lower() in SAY_LITTLE
            else value
            for key, value in self.options.items()
        )


def groups(jobs: Sequence[Job]) -> list[Group]:
    """Returns the groups of finished jobs, by falling mean validation accuracy."""
    keys = [key for key in varied(jobs) if key != SEED]
    found: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        if job.accuracy is not None:
            found.setdefault(tuple(job.options.get(key, "") for key in keys), []).append(job)
    made = [
        Group(dict(zip(keys, values, strict=True)), members) for values, members in found.items()
    ]
    return sorted(made, key=lambda group: group.mean_std("val/accuracy")[0], reverse=True)
