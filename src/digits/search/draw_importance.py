"""The picture of which options mattered in a search."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from optuna import create_study
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from digits.files import whole_file

BLUE = "#1f77b4"

MIN_TRIALS = 5
"""Without so many trials no importance is computed."""


def draw_importance(path: Path, study: Study, objectives: Sequence[str]) -> bool:
    """Draws how much of the trials' ranking each option explains; says whether it could.

    Pruned trials count with what they had reached: without them, whatever makes a trial hopeless
    would seem not to matter. Of too few trials, or of trials that are all as good as each other,
    there is nothing to say.
    """
    ended = (TrialState.COMPLETE, TrialState.PRUNED)
    trials = [each for each in study.get_trials(deepcopy=False, states=ended) if each.values]
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
        bars = axes.barh(names, [share[name] for name in names], color=BLUE)
        axes.bar_label(bars, [f"{share[name]:.0%}" for name in names], padding=3)
        axes.set(xlim=(0, 1.1), xlabel=f"share of the variance of the rank by {objective}")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"What mattered in {len(trials)} trials: {study.study_name}")
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=120)
    return True


def importance(trials: Sequence[FrozenTrial], index: int) -> dict[str, float]:
    """Returns the shares of the ranks' variance that options explain, the largest first.

    By functional analysis of variance (Hutter, Hoos & Leyton-Brown, ICML 2014), but of the ranks:
    one diverged trial would have nearly all of the values' variance. Optuna's default, PED-ANOVA,
    looks at the best tenth only, which are two of 20 trials. Optuna's fANOVA does not know
    logarithms: what was searched on a logarithmic scale is put on it before.

    Args:
        trials: with values, and all with the same options.
        index: of the objective.
    """
    scaled, values = create_study(), [trial.values[index] for trial in trials]
    for trial in trials:
        value = trial.values[index]
        rank = sum(each < value for each in values) + values.count(value) / 2
        options = {name: _on_its_scale(*each) for name, each in _options(trial).items()}
        scaled.add_trial(
            create_trial(
                value=rank,
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
