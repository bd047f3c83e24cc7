"""Finished runs side by side: groups over seeds, their differences, and how sure they are."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from digits.data.datasets import SAMPLE
from digits.errors import DigitsError
from digits.files import put, relative, slug, write_atomically
from digits.page import Picture, Section, Table, as_markdown, show_table, write_page
from digits.run_directory import (
    CURVES,
    DEFAULT_CHOICES,
    Group,
    Run,
    differing_options,
    find_runs,
    group_runs,
    is_run_dir,
    read_history,
    read_run,
)
from digits.statistics import (
    MCNEMAR,
    Difference,
    clustered_difference,
    holm,
    mcnemar,
    student_interval,
    wilson_interval,
)
from digits.text import accuracy, csv_table, p_value, plural, points, typed

if TYPE_CHECKING:
    from rich.console import Console

LEVEL = 0.05
"""A p below it is called significant."""
SHOWN_WARNINGS = 10
NOTHING = "\u2013"  # a dash
TITLE = "Comparison"
LEARNING_CURVE, TENSORBOARD = "learning_curve.png", "tensorboard"
PAGE = "comparison.html"
FILES = ("comparison.md", "comparison.csv", CURVES, LEARNING_CURVE)

_REQUIRED = (
    *("seed", "dataset", "epochs", "val/accuracy", "num_val", "val_split_sha256"),
    *("test/accuracy", "num_test", "num_parameters", "train_time_s"),
)
_HOW_TO_READ = (
    "Ranked by validation accuracy: selecting on the test set leaks it.",
    "Accuracies: mean ± standard deviation over seeds, with Student's 95% interval of the mean "
    "for these test images; of a single run, Wilson's 95% interval over images. Of folds, both are "
    "over folds, and all that is said of test images is of the images that each fold held out.",
    "vs baseline: difference of test accuracy in percentage points ± standard error. Of groups, "
    "the interval and p are Student's, with a variance clustered by seed and by test image; of "
    "two single runs, p is by McNemar's exact test on the images on which they disagree.",
    "Of several comparisons, p is corrected by Holm's method, and each interval is by itself.",
)


@dataclass(frozen=True, eq=False)
class Versus:
    """A group compared with the baseline; `p_holm` is corrected for all groups that are."""

    group: Group
    baseline: Group
    found: Difference
    p_holm: float

    @property
    def judgement(self) -> str:
        if self.p_holm >= LEVEL:
            return "no significant difference"
        return "better" if self.found.difference > 0 else "worse"

    @property
    def with_error(self) -> str:
        return f"{points(self.found.difference)} ± {100 * self.found.error:.2f}"

    @property
    def verdict(self) -> str:
        """One line, e.g. "dropout vs baseline: +0.31 ± 0.09 points, p = 0.032, ..."."""
        low, high = self.found.interval
        first, second = self.group.size, self.baseline.size
        short = second.removesuffix(" seeds").removesuffix(" seed")
        seeds = first if first == second else f"{first} against {short}"
        return (
            f"{self.group.name} vs {self.baseline.name}: {self.with_error} points, "
            f"{p_value(self.p_holm)}, {seeds}: {self.judgement} "
            f"(95% interval {points(low)} to {points(high)})"
        )

    @property
    def notes(self) -> list[str]:
        """What limits the meaning of p."""
        pair = (self.group, self.baseline)
        if self.found.test == MCNEMAR:
            (first,), (second,) = _correct(*pair)
            return [
                f"{(first & ~second).sum()} images right by {pair[0].name} only, "
                f"{(second & ~first).sum()} by {pair[1].name} only",
                "one seed each: p is about these networks; other seeds may say otherwise"
                if self.group.num_folds
                else "one run each: p is about these two networks; other seeds may say otherwise",
            ]
        for each in pair:
            if len(each.seeds) == 1:
                return [f"{each.name} has one seed; it is assumed to vary as the other group does"]
        if min(len(each.seeds) for each in pair) == 2:
            return ["two seeds say little about how much the accuracy varies by seed; try five"]
        return []


@dataclass(frozen=True, eq=False)
class Comparison:
    """Groups of runs, compared with one of them.

    Attributes:
        ranked: by descending mean validation accuracy.
        unranked: groups that were validated on other images than the ranked, or not at all.
        versus: each other group against the baseline, by name, in the order shown.
        left_out: what is not compared and why, e.g. "outputs/runs/a: not tested".
    """

    ranked: Sequence[Group]
    unranked: Sequence[Group]
    baseline: Group
    versus: Mapping[str, Versus]
    left_out: Sequence[str]

    @property
    def groups(self) -> list[Group]:
        return [*self.ranked, *self.unranked]

    @property
    def images(self) -> str:
        """What all runs are compared on, e.g. "10,000 test images of mnist"."""
        return _images(self.baseline.runs[0])


def compare(folders: Sequence[Path], baseline: str | None = None) -> Comparison:
    """Compare all runs that are among the folders or below them.

    Args:
        folders: run directories, sweep directories, or folders of such.
        baseline: a group's name or a run directory; unless given, the first run's group, of those
            that were tested on the images on which most groups were.

    Raises:
        DigitsError: no run can be compared, or the baseline does not exist.
    """
    named = [Path(baseline)] if baseline and is_run_dir(Path(baseline)) else []
    found = [read_run(path) for path in find_runs([*folders, *named])]
    unfit = {run: reason for run in found if (reason := _unfit(run))}
    left_out = [f"{relative(run.dir)}: {reason}" for run, reason in unfit.items()]
    runs = [run for run in found if run not in unfit]
    if not runs:
        more = f" (and {len(left_out) - 1} more)" if len(left_out) > 1 else ""
        raise DigitsError(f"no run can be compared: {left_out[0]}{more}; try other directories")
    by_images: dict[tuple[str, Hashable], list[Run]] = {}
    for run in runs:
        answered = run.predictions.labels.tobytes()
        key = run.metrics["dataset"], answered if run.fold is None else run.val_images
        by_images.setdefault(key, []).append(run)
    # Most groups that can be compared come first; the order of the folders decides a tie.
    families = sorted(map(group_runs, by_images.values()), key=len, reverse=True)
    chosen = _choose_baseline([group for family in families for group in family], baseline)
    family = next(family for family in families if chosen in family)
    groups = []
    for group in family:
        once, repeated = group.each_seed_once()
        groups.append(once)
        left_out += [f"{relative(run.dir)}: repeats a seed of {group.name}" for run in repeated]
    left_out += [
        f"{relative(run.dir)}: tested on other images "
        f"({_images(run).replace('test images ', '')}) than {chosen.name}"
        for other in families
        if other is not family
        for group in other
        for run in group.runs
    ]
    return _compare_groups(groups, groups[family.index(chosen)], left_out)


def _compare_groups(
    groups: Sequence[Group], baseline: Group, left_out: Sequence[str]
) -> Comparison:
    validated = [group for group in groups if group.values("val/accuracy")]
    reference = baseline if baseline in validated else next(iter(validated), baseline)
    images = reference.runs[0].val_images
    ranked = [group for group in validated if group.runs[0].val_images == images]
    ranked.sort(key=lambda group: group.mean_std("val/accuracy")[0], reverse=True)
    unranked = [group for group in groups if group not in ranked]
    unranked.sort(key=lambda group: group not in validated)
    others = [group for group in (*ranked, *unranked) if group is not baseline]
    found = {group.name: _difference(group, baseline) for group in others}
    corrected = holm([each.p for each in found.values()])
    versus = {
        group.name: Versus(group, baseline, found[group.name], p_holm)
        for group, p_holm in zip(others, corrected, strict=True)
    }
    return Comparison(ranked, unranked, baseline, versus, left_out)


def _difference(group: Group, baseline: Group) -> Difference:
    first, second = _correct(group, baseline)
    if len(first) == len(second) == 1:
        return mcnemar(first[0], second[0])
    return clustered_difference(first, second)


def _correct(group: Group, baseline: Group) -> list[np.ndarray]:
    """Return, of both groups, whether each seed was right on each image: bool (seeds, images).

    A seed's folds are put together: each image is answered by the network that did not train on
    it. Only the folds count that all seeds of both groups have.
    """
    both = [{(run.seed, run.fold): run for run in each.runs} for each in (group, baseline)]
    folds = [{fold for of, fold in runs if of == seed} for runs in both for seed, _ in runs]
    if not (shared := sorted(set.intersection(*folds), key=lambda fold: fold or 0)):
        names = f"{group.name} and {baseline.name}"
        raise DigitsError(f"{names} have no fold in common; train the same data.fold of both")
    return [
        np.stack(
            [
                np.concatenate([runs[seed, fold].predictions.correct for fold in shared])
                for seed in each.seeds
            ]
        )
        for each, runs in zip((group, baseline), both, strict=True)
    ]


def _images(run: Run) -> str:
    dataset = run.metrics["dataset"]
    if run.fold is not None:
        return f"training images of {dataset}, each in the fold that was not trained on"
    return f"{run.metrics['num_test']:,} test images of {dataset}"


def _unfit(run: Run) -> str:
    """Return why a run cannot be compared, or nothing."""
    if not run.is_finished:
        why = ": ".join(filter(None, (run.status, run.reason)))
        return f"not finished ({why or 'it has not begun'})"
    if missing := [key for key in _REQUIRED if key not in run.metrics]:
        return f"metrics.json does not say {missing[0]}; train it again"
    if run.test_accuracy is None and run.fold is None:
        return "not tested; run its command again without test=false"
    try:
        run.predictions  # noqa: B018 - what is compared and drawn must be readable
        read_history(run.dir)
    except DigitsError as error:
        return str(error)
    return ""


def _choose_baseline(groups: Sequence[Group], baseline: str | None) -> Group:
    for group in groups:
        directories = [run.dir.resolve() for run in group.runs]
        if baseline in (None, group.name) or Path(str(baseline)).resolve() in directories:
            return group
    names = ", ".join(dict.fromkeys(group.name for group in groups))
    raise DigitsError(
        f"--baseline {baseline} is not a group or a finished run; try one of: {names}"
    )


def made_otherwise(groups: Sequence[Group]) -> str:
    """Return in one line in what the groups' runs were not made with the same, if in anything."""
    differing = []
    made = [[_made_with(run) for run in group.runs] for group in groups]
    for key in dict.fromkeys(key for runs in made for run in runs for key in run):
        values = [{run[key] for run in runs if key in run} for runs in made]
        known = [each for each in values if each]
        if any(each != known[0] for each in known):
            differing.append(f"{key} ({', '.join(sorted(set().union(*known)))})")
    told = "not all groups were made with the same"
    return f"{told} {', '.join(differing)}; see their status.json" if differing else ""


def _made_with(run: Run) -> dict[str, str]:
    """Return what is known of what a run was made with."""
    made = {key: dict(value or {}) for key, value in run.made_with.items()}
    git = made.pop("git", {})
    found = {key: str(value) for part in made.values() for key, value in part.items()}
    if git:
        found["commit"] = git["commit"][:8] + ("" if git["clean"] else " with changes")
    return found


def warnings(comparison: Comparison) -> list[str]:
    """Return what a reader must not miss."""
    lines = [f"left out: {each}" for each in comparison.left_out]
    for group in comparison.unranked:
        which = "other" if group.values("val/accuracy") else "no"
        lines.append(f"not ranked: {group.name}: validated on {which} images")
    if told := made_otherwise(comparison.groups):
        lines.append(told)
    if comparison.baseline.runs[0].metrics["dataset"] == SAMPLE:
        lines.append(
            "These are runs on the embedded sample of 5,000 images, not on MNIST: "
            "do not compare these numbers with those of MNIST."
        )
    return lines


def notes(comparison: Comparison) -> list[str]:
    """Return how to read the numbers."""
    by_note: dict[str, list[str]] = {}
    for each in comparison.versus.values():
        for note in each.notes:
            by_note.setdefault(note, []).append(each.group.name)
    return [*_HOW_TO_READ, *(f"{', '.join(names)}: {note}." for note, names in by_note.items())]


def baseline_line(comparison: Comparison) -> str:
    """Return which group the others are compared with."""
    if not comparison.versus:
        return "one group only: there is nothing to compare it with"
    return f"baseline: {comparison.baseline.name} (--baseline chooses another)"


def group_table(comparison: Comparison) -> Table:
    """Return the ranking: each group's accuracies, and how it differs from the baseline."""
    rows = []
    for rank, group in _with_ranks(comparison):
        low, high = _test_interval(group)
        versus = comparison.versus.get(group.name)
        cells = (versus.with_error, _p_cell(versus.p_holm)) if versus else (NOTHING, NOTHING)
        rows.append(
            (
                *(rank or NOTHING, group.name),
                group.size if group.num_folds else str(len(group.runs)),
                *(accuracy(*group.mean_std(f"{part}/accuracy")) for part in ("val", "test")),
                f"{100 * low:.2f} to {100 * high:.2f}%",
                *cells,
                f"{group.mean_std('train_time_s')[0]:.1f} s",
            )
        )
    p = "p (Holm)" if len(comparison.versus) > 1 else "p"
    runs = "runs" if comparison.baseline.num_folds else "seeds"
    columns = ("rank", "group", runs, "validation", "test", "95% interval", "vs baseline", p)
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
        *("test_low", "test_high", "train_time_s", "baseline", "difference_points"),
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
        validated = group.mean_std("val/accuracy") if group.values("val/accuracy") else ("", "")
        row = (
            *(rank, group.name, " ".join(map(str, group.seeds))),
            *(*validated, *group.mean_std("test/accuracy")),
            *(*_test_interval(group), group.mean_std("train_time_s")[0], *found),
            " ".join(str(relative(run.dir)) for run in group.runs),
        )
        rows.append(row)
    return csv_table(columns, rows)


def _with_ranks(comparison: Comparison) -> list[tuple[str, Group]]:
    ranked = [(str(rank), group) for rank, group in enumerate(comparison.ranked, start=1)]
    return ranked + [("", group) for group in comparison.unranked]


def _p_cell(p: float) -> str:
    """Return p below a heading that says so, e.g. "0.032" or "<0.001"."""
    return p_value(p).removeprefix("p ").removeprefix("= ").replace(" ", "")


def _test_interval(group: Group) -> tuple[float, float]:
    """Return Student's 95 % interval over several runs, Wilson's over the images of one run.

    It is that of the validation accuracy if the runs are folds.
    """
    if len(group.runs) > 1:
        return student_interval(
            group.values("val/accuracy" if group.num_folds else "test/accuracy")
        )
    correct = group.runs[0].predictions.correct
    return wilson_interval(int(correct.sum()), len(correct))


def show(console: "Console", comparison: Comparison) -> None:
    """Print warnings, the ranking and the verdicts."""
    lines = warnings(comparison)
    for line in lines[:SHOWN_WARNINGS]:
        console.print(line, style="bold red")
    if len(lines) > SHOWN_WARNINGS:
        more = f"and {len(lines) - SHOWN_WARNINGS} more, listed in the files"
        console.print(more, style="bold red")
    show_table(console, group_table(comparison))
    console.print(baseline_line(comparison))
    for versus in comparison.versus.values():
        console.print(versus.verdict, style="bold")
    for line in notes(comparison):
        console.print(line, style="dim")


def learning_curves(comparison: Comparison) -> dict[str, dict[int, list[float]]]:
    """Return accuracies by the number of training images, of each setting with several of them.

    A setting is what groups have in common that differ in data.train_size only.
    """
    runs = []
    for run in (run for group in comparison.groups for run in group.runs):
        config = put(run.config, {"data.train_size": None})
        others = [each for each in run.overrides if not each.startswith("data.train_size=")]
        runs.append(replace(run, config=config, overrides=others))
    metric = "val/accuracy" if comparison.baseline.num_folds else "test/accuracy"
    found: dict[str, dict[int, list[float]]] = {}
    for setting in group_runs(runs):
        by_size = found.setdefault(setting.name, {})
        for run in setting.runs:
            by_size.setdefault(run.metrics.get("num_train", 0), []).append(run.metrics[metric])
    return {name: by_size for name, by_size in found.items() if len(by_size) > 1 and all(by_size)}


def write_events(comparison: Comparison, folder: Path) -> None:
    """Write one run a group for TensorBoard: the means over seeds of what metrics.csv has."""
    from torch.utils.tensorboard import SummaryWriter  # takes a second

    for old in folder.glob("*/events.out.tfevents.*"):
        old.unlink()
    for group in comparison.groups:
        histories = [read_history(run.dir) for run in group.runs]
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
        "Loss by epoch, mean over seeds: validation solid, training dashed. The band is the mean "
        "validation loss ± one standard deviation over seeds.",
    )
    histories = {
        group.name: [read_history(run.dir) for run in group.runs] for group in comparison.groups
    }
    save_figure(draw_overlaid_curves(histories), picture.path)
    (folder / LEARNING_CURVE).unlink(missing_ok=True)  # of an earlier comparison
    sections = [
        Section("Ranking", "\n\n".join(warnings(comparison)), [group_table(comparison)]),
        Section("Loss curves", pictures=[picture]),
        Section("What differs", tables=[option_table(comparison)]),
        Section("Runs", tables=[run_table(comparison)]),
        Section("How to read it", "\n\n".join(notes(comparison))),
    ]
    if comparison.versus:
        verdicts = [each.verdict for each in comparison.versus.values()]
        sections.insert(1, Section("Verdict", "\n\n".join(verdicts)))
    if settings := learning_curves(comparison):
        part = "validation" if comparison.baseline.num_folds else "test"
        picture = Picture(
            folder / LEARNING_CURVE,
            f"Accuracy on {part} images by the number of training images: each run, mean over "
            "seeds ± one standard deviation.",
        )
        save_figure(draw_learning_curve(settings, part), picture.path)
        sections.insert(-3, Section("Learning curve", pictures=[picture]))
    num_runs = sum(len(group.runs) for group in comparison.groups)
    lead = (
        f"{plural(num_runs, 'run')} in {plural(len(comparison.groups), 'group')}, on the same "
        f"{comparison.images}; {baseline_line(comparison)}."
    )
    write_atomically(folder / "comparison.csv", as_csv(comparison))
    write_atomically(folder / "comparison.md", as_markdown(TITLE, lead, sections))
    write_page(folder / PAGE, TITLE, lead, sections)
    return folder / PAGE
