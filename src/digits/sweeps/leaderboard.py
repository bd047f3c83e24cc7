"""A sweep's result so far: leaderboard.csv, leaderboard.md and leaderboard.png."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from filelock import FileLock

from digits.files import get, has, write_atomically
from digits.groups import Group, by_validation, group_runs
from digits.page import Section, Table, as_markdown
from digits.run_directory import Run, read_run, search
from digits.text import csv_table, typed

COLUMNS = ("val/accuracy", "test/accuracy", "train_time_s")
STUDY = "study.db"
"""Makes a directory that of a search; `optuna-dashboard sqlite:///FILE` opens it."""
SHOWN_GROUPS = 30
"""Groups in the picture."""


def write_leaderboard(sweep_dir: Path) -> list[Run]:
    """Write the three files from what the run directories say; return the jobs by their numbers."""
    with FileLock(sweep_dir / ".leaderboard.lock"):  # jobs may end at the same time
        jobs = read_jobs(sweep_dir)
        write_atomically(sweep_dir / "leaderboard.csv", _as_csv(sweep_dir, jobs))
        write_atomically(sweep_dir / "leaderboard.md", _as_markdown(sweep_dir, jobs))
        if groups := [group for group in ranked_groups(jobs) if group.values("val/accuracy")]:
            from digits.figures import draw_leaderboard, save_figure  # matplotlib: half a second

            figure = draw_leaderboard(sweep_dir.name, groups[:SHOWN_GROUPS], len(groups))
            save_figure(figure, sweep_dir / "leaderboard.png")
    return jobs


def read_jobs(sweep_dir: Path) -> list[Run]:
    """Read all jobs that have begun, by their numbers."""
    return [read_run(run_dir) for run_dir in search(sweep_dir)]


def job_name(sweep_dir: Path, job: Run) -> str:
    """Return a job's directory as it is called within the sweep's."""
    return job.dir.relative_to(sweep_dir).as_posix()


def by_rank(jobs: Iterable[Run]) -> list[Run]:
    """Return the jobs by descending validation accuracy; those without one come last."""
    # Selecting on the test set leaks it.
    return sorted(jobs, key=lambda job: (job.val_accuracy is None, -(job.val_accuracy or 0)))


def ranked_groups(jobs: Iterable[Run]) -> list[Group]:
    """Return the groups over seeds or folds of the finished jobs, the best validated first."""
    return by_validation(group_runs([job for job in jobs if job.is_finished]))


def varied(jobs: Sequence[Run]) -> list[str]:
    """Return what the command lines name and is not the same for all jobs, in their order."""
    keys = dict.fromkeys(key for job in jobs for key in job.overridden if key != "name")
    return [key for key in keys if len({_value(job, key) for job in jobs if job.config}) > 1]


def _value(job: Run, key: str) -> str:
    """Return what a job has for a config group or a dotted key, as one types it."""
    if key in job.choices or not job.config:
        return job.choices.get(key, "")
    return typed(get(job.config, key) if has(job.config, key) else None)


def _with_ranks(jobs: Sequence[Run]) -> list[tuple[str, Run]]:
    ranked = enumerate(by_rank(jobs), start=1)
    # A fold has other images than the next one: only the group has a rank.
    return [
        ("" if job.val_accuracy is None or job.fold is not None else str(rank), job)
        for rank, job in ranked
    ]


def _as_csv(sweep_dir: Path, jobs: Sequence[Run]) -> str:
    keys = varied(jobs)
    rows = (
        [
            *(rank, *(_value(job, key) for key in keys)),
            *(job.metrics.get(metric) for metric in COLUMNS),
            *(job.status, job_name(sweep_dir, job), job.reason),
        ]
        for rank, job in _with_ranks(jobs)
    )
    return csv_table(["rank", *keys, *COLUMNS, "status", "run", "reason"], rows)


def _as_markdown(sweep_dir: Path, jobs: Sequence[Run]) -> str:
    keys, groups = varied(jobs), ranked_groups(jobs)
    num_finished = sum(job.is_finished for job in jobs)
    begun = f"{num_finished} of {len(jobs)} jobs that began are finished"
    sections = []
    has_folds = any(group.num_folds for group in groups)
    if len(groups) < num_finished or has_folds:
        over = "folds" if has_folds else "seeds"
        rows = [
            [
                str(rank) if group.values("val/accuracy") else "",
                group.name,
                group.size,
                *group.cells,
            ]
            for rank, group in enumerate(groups, start=1)
        ]
        table = Table(["rank", "group", "runs", "validation", "test", "time"], rows)
        sections.append(Section(f"Mean ± standard deviation over {over}", tables=[table]))
    rows = [
        [
            *(rank, *(_value(job, key) for key in keys)),
            *(Group(job.dir.name, [job]).cells if job.is_finished else ("-", "-", "-")),
            *(job_name(sweep_dir, job), job.status, job.reason),
        ]
        for rank, job in _with_ranks(jobs)
    ]
    columns = ["rank", *keys, "validation", "test", "time", "run", "status", "reason"]
    sections.append(Section("Jobs", tables=[Table(columns, rows)]))
    return as_markdown(sweep_dir.name, f"{begun}; {ranking(jobs)}.", sections)


def ranking(jobs: Iterable[Run]) -> str:
    """Say by what the jobs are ranked, and if they are not comparable by it."""
    validated_on = {job.val_images for job in jobs if job.val_accuracy is not None}
    words = "ranked by validation accuracy" if validated_on else "not ranked: nothing was validated"
    if len(validated_on) > 1:
        words += ", BUT OF DIFFERENT VALIDATION IMAGES: it does not tell which options are better"
    return words
