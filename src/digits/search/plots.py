"""Pictures of a search: how it went, and which options mattered."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from optuna import create_study
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from digits.atomic import whole_file

COLOURS = {"trial": "#1f77b4", "best": "#d95f02", "other": "#999999"}
MIN_TRIALS = 5
"""Complete trials without which no importance is computed."""


def draw_history(path: Path, study: Study, objectives: Sequence[str]) -> None:
    """Draws the objectives of all trials in their order, with the best so far."""
    trials = study.get_trials(deepcopy=False)
    figure = Figure(figsize=(7, 4.2 * len(objectives)), layout="constrained")
    panels = figure.subplots(len(objectives), squeeze=False)[:, 0]
    for index, (objective, axes) in enumerate(zip(objectives, panels, strict=True)):
        complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        numbers = [trial.number for trial in complete]
        values = [trial.values[index] for trial in complete]
        axes.scatter(
            numbers, values, s=18, color=COLOURS["trial"], label="finished trial", zorder=3
        )
        pruned = [trial for trial in trials if trial.state is TrialState.PRUNED and trial.values]
        if pruned:
            axes.scatter(
                [trial.number for trial in pruned],
                [trial.values[0] for trial in pruned],
                s=22,
                marker="x",
                color=COLOURS["other"],
                label="pruned trial, where it ended",
            )
        better = max if study.directions[index] is StudyDirection.MAXIMIZE else min
        if complete:
            best = list(itertools.accumulate(values, better))
            axes.step(numbers, best, where="post", color=COLOURS["best"], label="best so far")
        axes.set(xlabel="trial", ylabel=objective)
        if objective.endswith("accuracy"):
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(f"Search: {study.study_name}")
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=120)


def draw_importance(path: Path, study: Study, objectives: Sequence[str]) -> bool:
    """Draws how much of an objective's variance each option explains; says whether it could.

    It looks at finished trials; of too few, or of trials that are all as good as each other, there
    is nothing to say.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    shares = {
        objective: importance(trials, index)
        for index, objective in enumerate(objectives)
        if len(trials) >= MIN_TRIALS and len({trial.values[index] for trial in trials}) > 1
    }
    if not shares:
        return False
    num_bars = len(trials[0].params)
    figure = Figure(figsize=(7, (1.4 + 0.4 * num_bars) * len(shares)), layout="constrained")
    panels = figure.subplots(len(shares), squeeze=False)[:, 0]
    for (objective, share), axes in zip(shares.items(), panels, strict=True):
        names = list(reversed(share))
        bars = axes.barh(names, [share[name] for name in names], color=COLOURS["trial"])
        axes.bar_label(bars, [f"{share[name]:.0%}" for name in names], padding=3)
        axes.set(xlim=(0, 1.1), xlabel=f"share of the variance of {objective}")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"What mattered in {len(trials)} finished trials: {study.study_name}")
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=120)
    return True


def importance(trials: Sequence[FrozenTrial], index: int) -> dict[str, float]:
    """Returns the shares of an objective's variance that options explain, the largest first.

    By functional analysis of variance (Hutter, Hoos & Leyton-Brown, ICML 2014). Optuna's default,
    PED-ANOVA, looks at the best tenth only, which are two of 20 trials. Optuna's fANOVA does not
    know logarithms: what was searched on a logarithmic scale is put on it before.

    Args:
        trials: complete ones, all with the same options.
        index: of the objective.
    """
    scaled = create_study()
    for trial in trials:
        options = {name: _on_its_scale(*each) for name, each in _options(trial).items()}
        scaled.add_trial(
            create_trial(
                value=trial.values[index],
                params={name: value for name, (value, _) in options.items()},
                distributions={name: each for name, (_, each) in options.items()},
            )
        )
    evaluator = FanovaImportanceEvaluator(seed=0)
    shares = get_param_importances(scaled, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}


def _options(trial: FrozenTrial) -> dict[str, tuple[Any, BaseDistribution]]:
    return {name: (trial.params[name], trial.distributions[name]) for name in trial.params}


def _on_its_scale(value: Any, searched: BaseDistribution) -> tuple[Any, BaseDistribution]:
    if not isinstance(searched, FloatDistribution | IntDistribution) or not searched.log:
        return value, searched
    low, high = math.log(searched.low), math.log(searched.high)
    return min(max(math.log(value), low), high), FloatDistribution(low, high)
