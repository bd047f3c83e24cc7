"""What is proposed, on functions that take no training."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import optuna
import pytest
from optuna.study import Study
from optuna.trial import TrialState

from digits.search.options import SearchOptions
from digits.search.plan import Plan
from digits.search.proposals import batches
from digits.search.samplers import make_sampler, suggest
from digits.search.space import Choices, Dimension, Numbers

LR = Numbers(1e-4, 1e-1, log=True)


def plan_of(sampler: str, **space: Dimension) -> Plan:
    options = SearchOptions(None, sampler, 0, None, ("val/accuracy",), None)
    return Plan(options, dict(space))


def propose(study: Study, plan: Plan) -> optuna.trial.Trial:
    study.sampler = make_sampler(plan, len(study.get_trials(deepcopy=False)))
    trial = study.ask()
    for key, dimension in plan.space.items():
        suggest(trial, key, dimension)
    return trial


def searched(
    plan: Plan, number: int, value: Callable[[Mapping[str, Any]], float]
) -> list[dict[str, Any]]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    for _ in range(number):
        trial = propose(study, plan)
        study.tell(trial, value(trial.params))
    return [trial.params for trial in study.trials]


def peak(params: Mapping[str, Any]) -> float:
    """Highest at lr = 0.003 and rate = 0.2."""
    decades, distance = math.log10(params["lr"] / 0.003), float(params["rate"]) - 0.2
    return -(decades**2) - 4 * distance**2


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_a_sampler_that_learns_comes_nearer_than_chance(sampler: str) -> None:
    params = searched(plan_of(sampler, lr=LR, rate=Numbers(0.0, 0.5)), 25, peak)
    # By chance: (log10(lr / 0.003))^2 is 9/12 + 0.023^2, and (rate - 0.2)^2 is 0.25/12 + 0.05^2.
    by_chance = -(0.75 + 0.023**2 + 4 * (0.25 / 12 + 0.05**2))
    assert sum(peak(each) for each in params[15:]) / 10 > by_chance / 1.5


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "random"])
def test_a_proposal_depends_on_the_seed_and_the_trials_before_only(sampler: str) -> None:
    plan = plan_of(sampler, lr=LR, rate=Numbers(0.0, 0.5), size=Numbers(8, 64, step=1))
    first, second = (searched(plan, 13, peak) for _ in range(2))
    assert first == second
    assert len({params["lr"] for params in first}) == 13


def test_a_logarithmic_interval_is_drawn_from_evenly_by_powers_of_ten() -> None:
    params = searched(plan_of("random", lr=LR), 90, lambda _: 0.0)
    counts = [
        sum(10.0**power <= each["lr"] < 10.0 ** (power + 1) for each in params)
        for power in (-4, -3, -2)
    ]
    # Each a binomial of 90 with 1/3: four standard deviations.
    assert all(abs(count - 30) < 4 * math.sqrt(90 * 2 / 9) for count in counts)


def test_the_grid_holds_each_combination_once_in_order() -> None:
    space: dict[str, Dimension] = {"a": Choices(("x", "y")), "b": Numbers(1, 5, step=2)}
    plan = plan_of("grid", **space)
    assert (plan.n_trials, plan.size) == (6, 6)
    params = searched(plan, plan.n_trials, lambda _: 0.0)
    assert params == [{"a": a, "b": b} for a, b in itertools.product("xy", (1, 3, 5))]


def test_of_the_grid_what_failed_is_tried_once_more_and_what_runs_is_not() -> None:
    plan = plan_of("grid", a=Choices(("x", "y", "z", "w")))
    study = optuna.create_study()
    trials = [propose(study, plan) for _ in range(4)]
    assert [trial.params["a"] for trial in trials] == ["x", "y", "z", "w"]
    for trial in trials[:2]:
        study.tell(trial, state=TrialState.FAIL)
    again = [propose(study, plan).params["a"] for _ in range(2)]
    assert again == ["x", "y"]


def test_a_proposal_that_was_cut_short_is_completed_as_it_would_have_been() -> None:
    plan = plan_of("random", lr=LR, rate=Numbers(0.0, 0.5))
    whole = searched(plan, 1, peak)[0]
    study = optuna.create_study()
    study.sampler = make_sampler(plan, 0)
    suggest(study.ask(), "lr", LR)

    study.sampler = make_sampler(plan, 0)
    trial = optuna.trial.Trial(study, study.trials[0]._trial_id)
    for key, dimension in plan.space.items():
        suggest(trial, key, dimension)
    assert trial.params["lr"] == whole["lr"]
    assert set(trial.params) == set(whole)


def test_batches_have_numbers_that_follow_on_each_other_and_begin_with_what_was_stopped() -> None:
    plan = Plan(SearchOptions(8, "random", 0, None, ("val/accuracy",), 3), {"lr": LR}, n_jobs=3)
    study = optuna.create_study(direction="maximize")
    stopped = [propose(study, plan) for _ in range(4)]
    for number in (0, 2):
        study.tell(stopped[number], 0.5)
    numbers = []
    for batch in batches(study, plan):
        numbers.append([trial.number for trial in batch])
        for trial in batch:
            if trial.number < 4:
                assert trial.params == stopped[trial.number].params
            study.tell(trial, 0.5)
    assert numbers == [[1], [3, 4], [5, 6, 7]]
    assert not list(batches(study, plan))


def test_one_that_failed_does_not_count() -> None:
    plan = Plan(SearchOptions(3, "random", 0, None, ("val/accuracy",), 1), {"lr": LR})
    study = optuna.create_study(direction="maximize")
    for (trial,) in batches(study, plan):
        if trial.number == 1:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, 0.5)
    assert [trial.number for (trial,) in batches(study, plan)] == [3]
