"""What `digits compare` writes: tables, curves, a page, and means over seeds for TensorBoard."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from digits.compare import Comparison, baseline_line, notes, warnings
from digits.files import put, relative, slug, write_atomically
from digits.groups import DEFAULT_CHOICES, Group, differing_options, group_runs
from digits.page import Picture, Section, Table, as_markdown, write_page
from digits.run_directory import CURVES
from digits.statistics import student_interval, wilson_interval
from digits.text import accuracy, csv_table, p_value, plural, typed

TITLE, PAGE = "Comparison", "comparison.html"
LEARNING_CURVE, TENSORBOARD = "learning_curve.png", "tensorboard"
FILES = ("comparison.md", "comparison.csv", CURVES, LEARNING_CURVE)
NOTHING = "\u2013"  # a dash


def group_table(comparison: Comparison) -> Table:
    """Return the ranking: each group's accuracies, and how it differs from the baseline."""
    rows = []
    for rank, group in _with_ranks(comparison):
        low, high = _interval(group)
        interval = f"{100 * low:.2f} to {100 * high:.2f}%"
        versus = comparison.versus.get(group.name)
        found = (versus.with_error, _p_cell(versus.p_holm)) if versus else (NOTHING, NOTHING)
        *accuracies, time = group.cells
        rows.append((rank or NOTHING, group.name, group.size, *accuracies, interval, *found, time))
    p = "p (Holm)" if len(comparison.versus) > 1 else "p"
    columns = ("rank", "group", "runs", "validation", "test", "95% interval", "vs baseline", p)
    return Table((*columns, "time"), rows, f"Accuracy on {comparison.images}")


def option_table(comparison: Comparison) -> Table:
    """Return what differs between the groups: choices and values."""
    first_runs = [group.runs[0] for group in comparison.groups]
    chosen = differing_options([run.choices for run in first_runs])
    choices = [name for name in DEFAULT_CHOICES if name in chosen]
    keys = differing_options([run.options for run in first_runs])
    keys = [key for key in keys if not key.endswith("_target_")]
    rows = []
    for group, run in zip(comparison.groups, first_runs, strict=True):
        values = {**run.choices, **{key: typed(value) for key, value in run.options.items()}}
        rows.append((group.name, *(values.get(key, NOTHING) for key in (*choices, *keys))))
    return Table(("group", *choices, *keys), rows)


def run_table(comparison: Comparison) -> Table:
    """Return a row a run."""
    rows = [
        (
            *(group.name, str(run.seed) + ("" if run.fold is None else f", fold {run.fold}")),
            *(accuracy(run.val_accuracy), accuracy(run.test_accuracy)),
            *(str(run.metrics["epochs"]), f"{run.metrics['num_parameters']:,}"),
            *(f"{run.metrics['train_time_s']:.1f} s", str(relative(run.dir))),
        )
        for group in comparison.groups
        for run in group.runs
    ]
    columns = ("group", "seed", "validation", "test", "epochs", "parameters", "time", "run")
    return Table(columns, rows)


def as_csv(comparison: Comparison) -> str:
    """Return one row a group; accuracies as fractions, differences in percentage points."""
    columns = (
        *("rank", "group", "seeds", "val_mean", "val_std", "test_mean", "test_std"),
        *("interval_low", "interval_high", "train_time_s", "baseline", "difference_points"),
        *("error_points", "low_points", "high_points", "p", "p_holm", "test", "verdict", "runs"),
    )
    rows = []
    for rank, group in _with_ranks(comparison):
        found: tuple[Any, ...] = ("",) * 9
        if versus := comparison.versus.get(group.name):
            each = versus.found
            found = (
                versus.baseline.name,
                *(100 * value for value in (each.difference, each.error, *each.interval)),
                *(each.p, versus.p_holm, each.test, versus.judgement),
            )
        validated, tested = (
            group.mean_std(f"{part}/accuracy") if group.values(f"{part}/accuracy") else ("", "")
            for part in ("val", "test")
        )
        row = (
            *(rank, group.name, " ".join(map(str, group.seeds))),
            *(*validated, *tested),
            *(*_interval(group), group.mean_std("train_time_s")[0], *found),
            " ".join(str(relative(run.dir)) for run in group.runs),
        )
        rows.append(row)
    return csv_table(columns, rows)


def _with_ranks(comparison: Comparison) -> Iterator[tuple[str, Group]]:
    for rank, group in enumerate(comparison.groups, start=1):
        yield str(rank) if group in comparison.ranked else "", group


def _p_cell(p: float) -> str:
    """Return p below a heading that says so, e.g. "0.032" or "<0.001"."""
    return p_value(p).removeprefix("p ").removeprefix("= ").replace(" ", "")


def _interval(group: Group) -> tuple[float, float]:
    """Return Student's 95 % interval over several runs, Wilson's over the images of one run.

    It is that of the validation accuracy if the runs are not tested.
    """
    if len(group.runs) > 1:
        return student_interval(group.by_fold(f"{group.part}/accuracy"))
    correct = group.runs[0].predictions.correct
    return wilson_interval(int(correct.sum()), len(correct))


def learning_curves(comparison: Comparison) -> dict[str, dict[int, list[float]]]:
    """Return accuracies by the number of training images, of each setting with several of them.

    A setting is what groups have in common that differ in data.train_size only.
    """
    runs = []
    for run in (run for group in comparison.groups for run in group.runs):
        config = put(run.config, {"data.train_size": None})
        others = [each for each in run.overrides if not each.startswith("data.train_size=")]
        runs.append(replace(run, config=config, overrides=others))
    metric = f"{comparison.baseline.part}/accuracy"
    found: dict[str, dict[int, list[float]]] = {}
    for setting in group_runs(runs):
        by_size = found.setdefault(setting.name, {})
        for run in (*setting.runs, *setting.repeated):  # of a seed, but of other sizes
            by_size.setdefault(run.metrics.get("num_train", 0), []).append(run.metrics[metric])
    return {name: by_size for name, by_size in found.items() if len(by_size) > 1 and all(by_size)}


def write_events(comparison: Comparison, folder: Path) -> None:
    """Write one run a group for TensorBoard: the means over seeds of what metrics.csv has."""
    from torch.utils.tensorboard import SummaryWriter  # takes a second

    for old in folder.glob("*/events.out.tfevents.*"):
        old.unlink()
    for group in comparison.groups:
        histories = [run.history for run in group.runs]
        with SummaryWriter(str(folder / slug(group.name))) as writer:
            for rows in zip(*histories, strict=False):  # up to the last epoch that all reached
                step = round(np.mean([row["step"] for row in rows])) - 1
                for tag in set.intersection(*map(set, rows)) - {"epoch", "step", "time_s"}:
                    writer.add_scalar(tag, np.mean([row[tag] for row in rows]), step)


def write_report(comparison: Comparison, folder: Path) -> Path:
    """Write comparison.md, .csv, .html and the pictures; return the page's path."""
    # matplotlib takes half a second
    from digits.figures import draw_learning_curve, draw_overlaid_curves, save_figure

    folder.mkdir(parents=True, exist_ok=True)
    picture = Picture(
        folder / CURVES,
        f"Loss by epoch, mean over {comparison.over}: validation solid, training dashed. The band "
        f"is the mean validation loss ± one standard deviation over {comparison.over}.",
    )
    histories = {group.name: [run.history for run in group.runs] for group in comparison.groups}
    save_figure(draw_overlaid_curves(histories), picture.path)
    (folder / LEARNING_CURVE).unlink(missing_ok=True)  # of an earlier comparison
    ranking = [group_table(comparison)]
    sections = [Section("Ranking", "\n\n".join(warnings(comparison)), ranking)]
    if comparison.versus:
        verdicts = [each.verdict for each in comparison.versus.values()]
        sections.append(Section("Verdict", "\n\n".join(verdicts)))
    sections.append(Section("Loss curves", pictures=[picture]))
    if settings := learning_curves(comparison):
        part = "validation" if comparison.baseline.part == "val" else "test"
        picture = Picture(
            folder / LEARNING_CURVE,
            f"Accuracy on {part} images by the number of training images: each run, mean over "
            f"{comparison.over} ± one standard deviation.",
        )
        save_figure(draw_learning_curve(settings, part), picture.path)
        sections.append(Section("Learning curve", pictures=[picture]))
    sections += [
        Section("What differs", tables=[option_table(comparison)]),
        Section("Runs", tables=[run_table(comparison)]),
        Section("How to read it", "\n\n".join(notes(comparison))),
    ]
    num_runs = sum(len(group.runs) for group in comparison.groups)
    over = f"{plural(num_runs, 'run')} in {plural(len(comparison.groups), 'group')}"
    lead = f"{over}, on the same {comparison.images}; {baseline_line(comparison)}."
    write_atomically(folder / "comparison.csv", as_csv(comparison))
    write_atomically(folder / "comparison.md", as_markdown(TITLE, lead, sections))
    write_page(folder / PAGE, TITLE, lead, sections)
    return folder / PAGE
