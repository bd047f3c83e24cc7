"""A sweep's result so far: leaderboard.csv, leaderboard.md and leaderboard.png."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from digits.files import whole_file, write_atomically
from digits.sweeps.jobs import Group, Job, by_rank, groups, read_jobs, varied

METRICS = ("val/accuracy", "test/accuracy", "train_time_s")


def write_leaderboard(sweep_dir: Path) -> list[Job]:
    """Writes the three files from what the run directories say; returns the jobs.

    Ranks are by validation: choosing by test accuracy would make the test a part of the training.
    """
    with FileLock(sweep_dir / ".leaderboard.lock"):  # jobs may end at the same time
        jobs = read_jobs(sweep_dir)
        write_atomically(sweep_dir / "leaderboard.csv", as_csv(jobs).encode())
        write_atomically(sweep_dir / "leaderboard.md", as_markdown(sweep_dir.name, jobs).encode())
        if any(job.accuracy is not None for job in jobs):
            draw(groups(jobs), sweep_dir / "leaderboard.png")
    return jobs


def as_csv(jobs: Sequence[Job]) -> str:
    """Returns one row a job: rank, what was varied, metrics, status, run directory, reason."""
    keys = varied(jobs)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["rank", *keys, *METRICS, "status", "run", "reason"])
    for rank, job in enumerate(by_rank(jobs), start=1):
        options = [job.options.get(key, "") for key in keys]
        metrics: list[Any] = [job.metrics.get(metric, "") for metric in METRICS]
        place = "" if job.accuracy is None else rank
        writer.writerow([place, *options, *metrics, job.status, job.path.name, job.reason])
    return table.getvalue()


def as_markdown(name: str, jobs: Sequence[Job]) -> str:
    """Returns the groups with mean and standard deviation over seeds, the jobs, the failures."""
    keys = varied(jobs)
    lines = [f"# {name}", ""]
    finished = [job for job in by_rank(jobs) if job.accuracy is not None]
    lines += [f"{len(finished)} of {len(jobs)} jobs that began are finished. Ranked by validation."]
    found = groups(jobs)
    if len(found) < len(finished):
        lines += ["", "## Mean ± standard deviation over seeds", ""]
        lines += _table(
            ["rank", "what", "seeds", "validation", "test", "time"],
            [
                [str(rank), group.name or name, str(len(group.jobs)), *group_cells(group)]
                for rank, group in enumerate(found, start=1)
            ],
        )
    lines += ["", "## Jobs", ""]
    lines += _table(
        ["rank", *keys, "validation", "test", "time", "run"],
        [
            [
                str(rank),
                *(job.options.get(key, "") for key in keys),
                *group_cells(Group({}, [job])),
                job.path.name,
            ]
            for rank, job in enumerate(finished, start=1)
        ],
    )
    if others := [job for job in jobs if job.accuracy is None]:
        lines += ["", "## Not finished", ""]
        lines += _table(
            ["run", "status", "reason"],
            [[job.path.name, job.status or "not started", job.reason] for job in others],
        )
    return "\n".join(lines) + "\n"


def group_cells(group: Group) -> list[str]:
    """Returns validation and test accuracy with their spread, and the mean time."""
    cells = []
    for metric in ("val/accuracy", "test/accuracy"):
        mean, std = group.mean_std(metric)
        spread = f" ± {100 * std:.2f}" if std is not None else ""
        cells.append("-" if math.isnan(mean) else f"{mean:.2%}{spread}")
    return [*cells, f"{group.mean_std('train_time_s')[0]:.1f} s"]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    safe = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows]
    lines = [columns, ["---"] * len(columns), *safe]
    return [f"| {' | '.join(line)} |" for line in lines]


def draw(found: Sequence[Group], path: Path) -> None:
    """Draws the validation accuracies: a dot a job, a bar at each group's mean."""
    from matplotlib.figure import Figure  # takes half a second

    shown = list(found[:30])[::-1]
    figure = Figure(figsize=(7, 1.4 + 0.32 * len(shown)), layout="constrained")
    axes = figure.subplots()
    for row, group in enumerate(shown):
        accuracies = [100 * (job.accuracy or 0.0) for job in group.jobs]
        axes.plot(accuracies, [row] * len(accuracies), "o", color="#1f77b4", alpha=0.6)
        mean = sum(accuracies) / len(accuracies)
        axes.plot([mean, mean], [row - 0.3, row + 0.3], color="#d95f02", linewidth=2.5)
    axes.set_yticks(range(len(shown)), [group.name or path.parent.name for group in shown])
    axes.set(
        xlabel="validation accuracy (%): each job, and the mean", ylim=(-0.6, len(shown) - 0.4)
    )
    axes.set_title(path.parent.name + (f": the best {len(shown)}" if len(found) > 30 else ""))
    axes.grid(axis="x", alpha=0.3)
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=120)
