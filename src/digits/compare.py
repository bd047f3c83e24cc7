"""Finished runs side by side: groups over seeds, their differences, and how sure they are."""

import shlex
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digits.data.datasets import NOT_MNIST, SAMPLE
from digits.errors import DigitsError
from digits.files import flat, relative
from digits.groups import Group, by_validation, group_runs
from digits.run_directory import Run, find_runs, is_run_dir, read_run
from digits.statistics import (
    CLUSTERED,
    MCNEMAR,
    Difference,
    clustered_difference,
    holm,
    mcnemar,
)
from digits.text import p_value, points, typed

LEVEL = 0.05
"""A p below it is called significant."""

_REQUIRED = (
    *("seed", "dataset", "epochs", "val/accuracy", "num_val", "val_split_sha256"),
    *("test/accuracy", "num_test", "num_parameters", "train_time_s"),
)


@dataclass(frozen=True, eq=False)
class Versus:
    """A group compared with the baseline; `p_holm` is corrected for all `num_compared` groups."""

    group: Group
    baseline: Group
    found: Difference
    p_holm: float
    num_compared: int

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
        over = first if first == second else f"{first} against {second}"
        holm, of = (" (Holm)", "uncorrected ") if self.num_compared > 1 else ("", "")
        return (
            f"{self.group.name} vs {self.baseline.name}: {self.with_error} points, "
            f"{p_value(self.p_holm)}{holm}, {over}: {self.judgement} "
            f"({of}95% interval {points(low)} to {points(high)})"
        )

    @property
    def note(self) -> str:
        """What p goes back to, or what limits its meaning."""
        pair, told = (self.group, self.baseline), []
        shared = _shared_folds(*pair)
        if len(shared) < max(group.num_folds for group in pair):
            numbers = ", ".join(map(str, shared))
            told.append(f"compared on the folds that all seeds of both have: {numbers}")
        fewest = min(pair, key=lambda group: len(group.seeds))
        if self.found.test == MCNEMAR:
            (first,), (second,) = _correct(*pair)
            alone, other = (first & ~second).sum(), (second & ~first).sum()
            told.append(f"alone right on {alone} images, {self.baseline.name} on {other}")
        elif len(fewest.seeds) == 1:
            told.append(f"{fewest.name} has one seed; it is assumed to vary as the other does")
        elif len(fewest.seeds) == 2:
            told.append("two seeds say little about how much the accuracy varies by seed; try five")
        return "; ".join(told)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Groups of runs, compared with one of them.

    Attributes:
        ranked: by descending mean validation accuracy.
        unranked: groups that were validated on other images than the ranked, or not at all.
        versus: each other group against the baseline, by name, in the order shown.
        left_out: what is not compared and why, e.g. "outputs/runs/a: not finished (running)".
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
    def over(self) -> str:
        """What means and standard deviations are over: "seeds" or "folds"."""
        return "folds" if self.baseline.num_folds else "seeds"

    @property
    def images(self) -> str:
        """What all runs are compared on, e.g. "10,000 test images of mnist"."""
        return _images(self.baseline.runs[0])


def compare(folders: Sequence[Path], baseline: str | None = None) -> Comparison:
    """Compare all runs that are among the folders or below them.

    Args:
        folders: run directories, sweep directories, or folders of such.
        baseline: a group's name or a run directory; unless given, the first run's group, of those
            evaluated on the images that most groups were; the test images come first.

    Raises:
        DigitsError: no run can be compared, or the baseline does not exist.
    """
    named = [Path(baseline)] if baseline and is_run_dir(Path(baseline)) else []
    by_images: dict[tuple[str, Hashable], list[Run]] = {}
    left_out = []
    for run in map(read_run, find_runs([*folders, *named])):
        if reason := _unfit(run):
            left_out.append(f"{relative(run.dir)}: {reason}")
            continue
        tested = run.test_accuracy is not None
        answered = run.predictions.labels.tobytes() if tested else run.val_images
        key = run.metrics["dataset"], answered
        by_images.setdefault(key, []).append(run)
    if not by_images:
        more = f" (and {len(left_out) - 1} more)" if len(left_out) > 1 else ""
        raise DigitsError(f"no run can be compared: {left_out[0]}{more}; try other directories")
    # Tested runs come first, then most groups; the order of the folders decides a tie.
    families = sorted(
        map(group_runs, by_images.values()), key=lambda them: (them[0].part != "test", -len(them))
    )
    chosen = _choose_baseline([group for family in families for group in family], baseline)
    groups = next(family for family in families if chosen in family)
    for group in (group for family in families for group in family):
        if group in groups:
            unused, reason = group.repeated, f"repeats a seed of {group.name}"
        else:
            unused = [*group.runs, *group.repeated]
            reason = _other_images(group.runs[0], chosen)
        left_out += [f"{relative(run.dir)}: {reason}" for run in unused]

    alone = [each for each in groups if each is not chosen and not _shared_folds(each, chosen)]
    groups = [group for group in groups if group not in alone]
    reason = f"no fold was trained with each seed of both it and {chosen.name}; train the same"
    left_out += [f"{relative(run.dir)}: {reason}" for group in alone for run in group.runs]

    validated = [group for group in groups if group.values("val/accuracy")]
    reference = chosen if chosen in validated else next(iter(validated), chosen)
    images = reference.runs[0].val_images
    ranked = [group for group in by_validation(validated) if group.runs[0].val_images == images]
    unranked = [group for group in by_validation(groups) if group not in ranked]
    compared = [group for group in (*ranked, *unranked) if group is not chosen]
    found = [_difference(group, chosen) for group in compared]
    corrected = holm([each.p for each in found])
    versus = {
        group.name: Versus(group, chosen, difference, p_holm, len(compared))
        for group, difference, p_holm in zip(compared, found, corrected, strict=True)
    }
    return Comparison(ranked, unranked, chosen, versus, left_out)


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
    shared = _shared_folds(group, baseline)
    return [
        np.stack(
            [
                np.concatenate([runs[seed, fold].predictions.correct for fold in shared])
                for seed in each.seeds
            ]
        )
        for each, runs in zip((group, baseline), both, strict=True)
    ]


def _shared_folds(*groups: Group) -> list[int | None]:
    """Return the folds that all seeds of all groups have; `[None]` if they are not folds."""
    runs = [(group, run) for group in groups for run in group.runs]
    folds = [{r.fold for r in group.runs if r.seed == run.seed} for group, run in runs]
    return sorted(set.intersection(*folds), key=lambda fold: fold or 0)


def _other_images(run: Run, baseline: Group) -> str:
    """Return why a run, which was evaluated on other images, is not compared."""
    name, ours = baseline.name, baseline.runs[0]
    if run.test_accuracy is None and baseline.part == "test":
        directory = shlex.quote(str(relative(run.dir)))
        return f"not tested; to compare untested runs: --baseline {directory}"
    if _images(run) != _images(ours):
        return f"evaluated on other images ({_images(run)}) than {name}"
    how = "divided into other folds" if run.fold is not None else "validated on other images"
    return f"{how} than {name}"


def _images(run: Run) -> str:
    dataset = run.metrics["dataset"]
    if run.fold is not None:
        return f"training images of {dataset}, each in the fold that was not trained on"
    if run.test_accuracy is None:
        return f"{run.metrics['num_val']:,} validation images of {dataset}"
    return f"{run.metrics['num_test']:,} test images of {dataset}"


def _unfit(run: Run) -> str:
    """Return why a run cannot be compared, or nothing."""
    if not run.is_finished:
        why = ": ".join(filter(None, (run.status, run.reason)))
        return f"not finished ({why or 'it has not begun'})"
    if missing := [key for key in _REQUIRED if key not in run.metrics]:
        return f"metrics.json does not say {missing[0]}; train it again"
    if run.test_accuracy is None and run.val_accuracy is None:
        return "neither validated nor tested; run its command again without test=false"
    try:
        run.predictions, run.history  # noqa: B018 - what is compared and drawn must be readable
    except DigitsError as error:
        if run.test_accuracy is None and run.fold is None:
            return f"not tested, and {error}; run its command again without test=false"
        return str(error)
    return ""


def _choose_baseline(groups: Sequence[Group], baseline: str | None) -> Group:
    if baseline is None:  # one whose seeds have a fold in common, if there is any
        return next(filter(_shared_folds, groups), groups[0])
    for group in groups:
        directories = [run.dir.resolve() for run in (*group.runs, *group.repeated)]
        if baseline == group.name or Path(baseline).resolve() in directories:
            return group
    names = ", ".join(dict.fromkeys(group.name for group in groups))
    raise DigitsError(
        f"--baseline {baseline} is not a group or a finished run; try one of: {names}"
    )


def _made_otherwise(groups: Sequence[Group]) -> str:
    """Return in one line in what the groups' runs were not made with the same, if in anything."""
    by_key: dict[str, dict[str, set[str]]] = {}
    for name, run in [(group.name, run) for group in groups for run in group.runs]:
        for key, value in flat(run.made_with):
            shown = typed(value)[:8] if key == "git.commit" else typed(value)
            by_key.setdefault(key, {}).setdefault(name, set()).add(shown)
    differing = [
        f"{key} ({', '.join(sorted(set().union(*by_group.values())))})"
        for key, by_group in by_key.items()
        if len({*map(frozenset, by_group.values())}) > 1
    ]
    told = "not all groups were made with the same"
    return f"{told} {', '.join(differing)}; see their status.json" if differing else ""


def warnings(comparison: Comparison) -> list[str]:
    """Return what a reader must not miss."""
    lines = []
    if comparison.baseline.runs[0].metrics["dataset"] == SAMPLE:
        lines.append(f"These are runs on {NOT_MNIST}")
    lines += [f"left out: {each}" for each in comparison.left_out]
    for group in comparison.unranked:
        which = "other" if group.values("val/accuracy") else "no"
        lines.append(f"not ranked: {group.name}: validated on {which} images")
    folds = _shared_folds(*comparison.groups)
    if any(len(folds) < group.num_folds for group in comparison.groups):
        lines.append(
            "not every seed of every group has the same folds: "
            "mean accuracies are not of the same images"
        )
    if told := _made_otherwise(comparison.groups):
        lines.append(told)
    return lines


def notes(comparison: Comparison) -> list[str]:
    """Return how to read the numbers, a line a fact; docs/results.md says why."""
    over, lines = comparison.over, []
    if comparison.ranked:
        why = ", since choosing by the test leaks it" if comparison.baseline.part == "test" else ""
        lines.append(f"ranked by validation accuracy{why}")
    if comparison.baseline.part == "val":
        lines.append("not tested: compared on the validation images, which chose each run's epoch")
        if comparison.baseline.runs[0].options.get("data.split") == "writers":
            lines.append(
                "images of one writer are not independent: intervals are too narrow, p too small"
            )
    num_runs = [len(group.runs) for group in comparison.groups]
    if max(num_runs) > 1:
        lines.append(f"accuracies: mean ± standard deviation over {over}")
        lines.append(f"95% interval: Student's, of the mean over {over}")
    if min(num_runs) == 1:
        lines.append("95% interval of a single run: Wilson's, over its images")
    versus = comparison.versus.values()
    if versus:
        lines.append("vs baseline: percentage points ± standard error")
    tests = {each.found.test for each in versus}
    if MCNEMAR in tests:
        own = "one network a fold" if over == "folds" else "one network each"
        lines.append(f"p by {own}: McNemar's exact test; other seeds may say otherwise")
    if CLUSTERED in tests:
        lines.append("p over seeds: Student's t, with a variance clustered by seed and by image")
    if len(versus) > 1:
        lines.append(f"p (Holm): corrected for {len(versus)} comparisons; intervals are not")
    by_note: dict[str, list[str]] = {}
    for each in versus:
        by_note.setdefault(each.note, []).append(each.group.name)
    return lines + [f"{', '.join(names)}: {note}" for note, names in by_note.items() if note]


def baseline_line(comparison: Comparison) -> str:
    """Return which group the others are compared with."""
    if not comparison.versus:
        return "one group only: there is nothing to compare it with"
    return f"baseline: {comparison.baseline.name} (--baseline chooses another)"
