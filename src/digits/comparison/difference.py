"""How a group differs from the baseline, and what may be said of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from digits.comparison.bootstrap import bootstrap
from digits.comparison.groups import Group
from digits.statistics import mcnemar
from digits.text import points

LEVEL = 0.05
"""A p below it is called a difference."""
FEW_SEEDS = 3


@dataclass(frozen=True)
class Difference:
    """Test accuracy of a group less that of the baseline.

    Attributes:
        group: the group's name.
        baseline: the baseline's name.
        seeds: how many there are, e.g. "5 seeds".
        difference: a fraction; above 0 if the group is better.
        error: its standard error.
        interval: its 95 % interval, by itself.
        p: of this comparison by itself.
        test: how p was found.
        notes: what a reader has to know to take p for what it is.
    """

    group: str
    baseline: str
    seeds: str
    difference: float
    error: float
    interval: tuple[float, float]
    p: float
    test: str
    notes: Sequence[str] = ()


def difference(group: Group, baseline: Group) -> Difference:
    """Compares a group with the baseline, on the same test images."""
    numbers = (len(group.runs), len(baseline.runs))
    if numbers == (1, 1):
        exact = mcnemar(group.runs[0].correct, baseline.runs[0].correct)
        first, second = group.runs[0].correct, baseline.runs[0].correct
        return Difference(
            group=group.name,
            baseline=baseline.name,
            seeds="1 seed",
            difference=exact.difference,
            error=exact.error,
            interval=exact.interval,
            p=exact.p,
            test="exact McNemar",
            notes=(
                f"{(first & ~second).sum()} images right by {group.name} only, "
                f"{(second & ~first).sum()} by {baseline.name} only",
                "one run each: p is about these two networks; other seeds may say otherwise",
            ),
        )
    paired = group.seeds == baseline.seeds
    found = bootstrap(group.correct, baseline.correct, paired)
    return Difference(
        group=group.name,
        baseline=baseline.name,
        seeds=_seeds(*numbers),
        difference=found.difference,
        error=found.error,
        interval=found.interval,
        p=found.p,
        test="bootstrap, seed by seed" if paired else "bootstrap",
        notes=_notes(group, baseline, paired),
    )


def judgement(difference: Difference, corrected_p: float) -> str:
    """Returns "better", "worse", or that nothing was shown."""
    if corrected_p >= LEVEL:
        return "no difference that these runs could show" + (
            ", with so many comparisons" if difference.p < LEVEL <= corrected_p else ""
        )
    return "better" if difference.difference > 0 else "worse"


def verdict(difference: Difference, corrected_p: float) -> str:
    """Says in one line what was found, e.g. "dropout vs baseline: +0.31 ± 0.09 points, ..."."""
    low, high = difference.interval
    return (
        f"{difference.group} vs {difference.baseline}: {points(difference.difference)} ± "
        f"{100 * difference.error:.2f} points, p {p_text(corrected_p, '= ')}, "
        f"{difference.seeds}: {judgement(difference, corrected_p)} "
        f"(95% interval {points(low)} to {points(high)})"
    )


def p_text(p: float, equal: str = "") -> str:
    """Returns p with as many decimals as mean something."""
    if p < 0.001:
        return f"{'< ' if equal else '<'}0.001"
    return f"{equal}{p:.3f}" if p < 0.1 else f"{equal}{p:.2f}"


def _seeds(first: int, second: int) -> str:
    seeds = "1 seed" if first == 1 else f"{first} seeds"
    return seeds if first == second else f"{seeds} against {second}"


def _notes(group: Group, baseline: Group, paired: bool) -> list[str]:
    notes = []
    if not paired and len(group.runs) == len(baseline.runs):
        notes.append("the seeds are not the same in both groups")
    singles = [each for each in (group, baseline) if len(each.runs) == 1]
    for each in singles:
        notes.append(
            f"{each.name} has one seed; it is taken to vary with the seed as the other group does"
        )
    if not singles and min(len(group.runs), len(baseline.runs)) < FEW_SEEDS:
        notes.append(
            "two seeds hardly tell how much the accuracy varies with the seed: the interval is "
            "wide for that reason, and p rarely small; try five"
        )
    return notes
