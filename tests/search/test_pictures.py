"""What the pictures of a search say, on functions that are known."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from matplotlib.image import imread
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.study import Study
from optuna.trial import TrialState

from digits.search.draw_history import draw_history, worth_showing
from digits.search.draw_importance import draw_importance, importance

SPACE = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "rate": FloatDistribution(0.0, 0.5),
    "model": CategoricalDistribution(["baseline", "dropout"]),
}


def study_of(value: Callable[[Mapping[str, Any]], float], number: int = 60) -> Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(study_name="known", direction="maximize", sampler=sampler)
    for _ in range(number):
        trial = study.ask(SPACE)
        study.tell(trial, value(trial.params))
    return study


@pytest.mark.parametrize("name", list(SPACE))
def test_what_alone_decides_has_all_of_the_importance(name: str) -> None:
    def value(params: Mapping[str, Any]) -> float:
        return float({"baseline": 0.0, "dropout": 1.0}.get(params[name], params[name]))

    shares = importance(study_of(value).trials, 0)
    assert next(iter(shares)) == name
    assert shares[name] > 0.9
    assert sum(shares.values()) == pytest.approx(1)


def test_a_logarithmic_scale_is_looked_at_as_it_was_searched() -> None:
    def value(params: Mapping[str, Any]) -> float:
        middle = -3 <= math.log10(params["lr"]) < -2  # a third of its scale, 9 % of the numbers
        return 2.0 * middle + float(params["model"] == "dropout")

    # The ranks of the four groups, as shares, are centred at 1/6, 1/2, 3/4 and 11/12.
    of_lr = 1 / 3 * 2 / 3 * ((3 / 4 + 11 / 12) / 2 - (1 / 6 + 1 / 2) / 2) ** 2
    of_model = 1 / 4 * (2 / 3 * (1 / 2 - 1 / 6) + 1 / 3 * (11 / 12 - 3 / 4)) ** 2
    shares = importance(study_of(value, 120).trials, 0)
    assert shares["lr"] == pytest.approx(of_lr / (of_lr + of_model), abs=0.08)


def test_one_diverged_trial_does_not_have_all_of_the_importance() -> None:
    study = study_of(lambda params: float(params["model"] == "dropout"))
    trial = study.ask(SPACE)
    study.tell(trial, -1000.0)
    assert importance(study.trials, 0)["model"] > 0.8


def test_of_few_trials_nothing_is_said(tmp_path: Path) -> None:
    path = tmp_path / "importance.png"
    assert not draw_importance(path, study_of(lambda _: 0.5, 8), ["val/accuracy"])  # all the same
    assert not draw_importance(path, study_of(lambda params: params["lr"], 4), ["val/accuracy"])
    assert not path.exists()
    assert draw_importance(path, study_of(lambda params: params["lr"], 8), ["val/accuracy"])
    assert imread(path).shape[1] == 840


def test_the_history_shows_the_range_that_a_search_is_about() -> None:
    accuracies = [0.1, 0.96, 0.965, 0.97, 0.975, 0.98, 0.981]
    low, high = worth_showing(accuracies, upwards=True)
    assert high == 0.981
    assert 0.9 < low < 0.965
    errors = [1 - accuracy for accuracy in accuracies]
    assert worth_showing(errors, upwards=False) == pytest.approx((1 - high, 1 - low))
    assert worth_showing([0.1, 0.9], upwards=True) == (-math.inf, math.inf)


def test_the_history_has_a_panel_for_each_objective(tmp_path: Path) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for values in ((0.9, 3.0), (0.8, 2.0)):
        study.tell(study.ask(), values)
    study.tell(study.ask(), state=TrialState.FAIL)
    study.ask()  # still running
    draw_history(tmp_path / "two.png", study, ["val/accuracy", "val/loss"])
    draw_history(tmp_path / "one.png", study_of(lambda _: 0.5, 3), ["val/accuracy"])
    heights = [imread(tmp_path / f"{name}.png").shape[0] for name in ("two", "one")]
    assert heights[0] == 2 * heights[1]
