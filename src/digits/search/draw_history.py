"""The picture of how a search went."""

import itertools
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from optuna.study import Study, StudyDirection
from optuna.trial import TrialState

from digits.files import whole_file

BLUE, ORANGE, GREY = "#1f77b4", "#d95f02", "#999999"

MIN_TRIALS = 5
"""Without so many finished trials nothing can be said of where most of them lie."""


def draw_history(path: Path, study: Study, objectives: Sequence[str]) -> None:
    """Draws the objectives of all trials in their order, with the best so far."""
    figure = Figure(figsize=(7, 4.2 * len(objectives)), layout="constrained")
    panels = figure.subplots(len(objectives), squeeze=False)[:, 0]
    for index, (objective, axes) in enumerate(zip(objectives, panels, strict=True)):
        upwards = study.directions[index] is StudyDirection.MAXIMIZE
        complete, pruned = (
            _points(study, index, state) for state in (TrialState.COMPLETE, TrialState.PRUNED)
        )
        low, high = worth_showing([value for _, value in complete], upwards)
        for points, label, colour in (
            (complete, "finished trial", BLUE),
            (pruned, "pruned trial", GREY),
        ):
            inside = [point for point in points if low <= point[1] <= high]
            if inside:
                axes.scatter(*zip(*inside, strict=True), s=18, color=colour, label=label, zorder=3)
            if outside := [number for number, value in points if not low <= value <= high]:
                edge, marker, far = (low, "v", "below") if upwards else (high, "^", "above")
                label = f"{label}, far {far}"
                axes.scatter(
                    outside, len(outside) * [edge], s=26, color=colour, marker=marker, label=label
                )
        if complete:
            numbers, values = zip(*complete, strict=True)
            best = list(itertools.accumulate(values, max if upwards else min))
            axes.step(numbers, best, where="post", color=ORANGE, label="best so far")
        axes.set(xlabel="trial", ylabel=objective)
        if objective.endswith("accuracy"):
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.suptitle(f"Search: {study.study_name}")
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=120)


def worth_showing(values: Sequence[float], upwards: bool) -> tuple[float, float]:
    """Returns the range in which the differences lie that a search is about.

    It begins at the best value and ends a half beyond the quartile of the worst; hopeless trials
    lie far outside, and would make all others look the same.

    Args:
        values: of the trials that came to their end.
        upwards: whether a large value is a good one.
    """
    if len(values) < MIN_TRIALS:
        return -math.inf, math.inf
    quartiles = statistics.quantiles(values, n=4)
    best, worst = (max(values), quartiles[0]) if upwards else (min(values), quartiles[2])
    limits = best, worst - 0.5 * (best - worst)
    return min(limits), max(limits)


def _points(study: Study, index: int, state: TrialState) -> list[tuple[int, float]]:
    trials = study.get_trials(deepcopy=False, states=(state,))
    return [(trial.number, trial.values[index]) for trial in trials if trial.values]
