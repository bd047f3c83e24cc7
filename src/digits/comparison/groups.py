"""Runs that differ in nothing but their seed, as one group."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from digits.comparison.names import group_names
from digits.comparison.run import Run
from digits.files import relative
from digits.statistics import student_interval, wilson_interval


@dataclass(frozen=True)
class LeftOut:
    """What is not compared, and why."""

    what: str
    reason: str


@dataclass(frozen=True, eq=False)
class Group:
    """Runs of one configuration, each with another seed.

    Attributes:
        name: what distinguishes it from the other groups.
        runs: by their seeds.
    """

    name: str
    runs: Sequence[Run]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of its runs, rising."""
        return tuple(run.seed for run in self.runs)

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether each run classified each test image correctly: (seeds, images)."""
        return np.stack([run.correct for run in self.runs])

    @property
    def val_accuracies(self) -> list[float]:
        """The validation accuracy of each run, or nothing if one was not validated."""
        found = [run.val_accuracy for run in self.runs if run.val_accuracy is not None]
        return found if len(found) == len(self.runs) else []

    @property
    def test_accuracies(self) -> list[float]:
        """The test accuracy of each run."""
        return [float(run.correct.mean()) for run in self.runs]

    @property
    def train_time_s(self) -> float:
        """The median over its runs."""
        return float(statistics.median(run.metrics["train_time_s"] for run in self.runs))

    @property
    def test_interval(self) -> tuple[float, float]:
        """The 95 % interval of the test accuracy, as fractions.

        Over several seeds Student's t interval of their mean, on these test images; for a single
        run, Wilson's over the images.
        """
        if len(self.runs) == 1:
            (run,) = self.runs
            return wilson_interval(int(run.correct.sum()), len(run.correct))
        return student_interval(self.test_accuracies)


def group_runs(runs: Sequence[Run]) -> tuple[list[Group], list[LeftOut]]:
    """Puts runs together that differ in their seeds only.

    A seed counts once in a group: the same run a second time is no further evidence.

    Args:
        runs: all tested on the same images.

    Returns:
        The groups in the order of their first runs, and the runs that repeat an earlier one's seed.
    """
    by_key: dict[tuple[str, object], dict[int, Run]] = {}
    left_out = []
    for run in runs:
        key = json.dumps(run.options, sort_keys=True, default=str), run.val_images
        first = by_key.setdefault(key, {}).setdefault(run.seed, run)
        if first is not run:
            reason = f"the same configuration and seed as {relative(first.path)!s}"
            left_out.append(LeftOut(str(relative(run.path)), reason))
    members = [list(group.values()) for group in by_key.values()]
    names = group_names(
        [group[0].choices for group in members],
        [group[0].options for group in members],
        [frozenset.union(*(run.overridden for run in group)) for group in members],
    )
    groups = [
        Group(name, sorted(group, key=lambda run: run.seed))
        for name, group in zip(names, members, strict=True)
    ]
    return groups, left_out
