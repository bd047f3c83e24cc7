"""What is proposed and pruned, on functions that take no training."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import TrialState

from digits.config.schema import SearchOptions
from digits.search.space import Search
from digits.search.study import batches, make_pruner, make_sampler, pareto_front

Opened = tuple[Study, RDBStorage]

LR = FloatDistribution(1e-4, 1e-1, log=True)
RATE = FloatDistribution(0.0, 0.5)


def search_of(
    sampler: Any, n_trials: int | None, space: Mapping[str, BaseDistribution], n_jobs: int = 1
) -> Search:
    options = SearchOptions(n_trials=n_trials, sampler=sampler, pruner=None)
    return Search(options, {**space}, {}, [], n_jobs)


@pytest.fixture
def opened() -> Iterator[Opened]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = RDBStorage("sqlite:///:memory:")
    yield optuna.create_study(study_name="s", direction="maximize", storage=storage), storage
    storage.remove_session()
    storage.engine.dispose()


def tried(
    opened: Opened, search: Search, value: Callable[[Mapping[str, Any]], float]
) -> list[dict[str, Any]]:
    study, storage = opened
    for batch in batches(study, storage, search):
        for trial in batch:
            study.tell(trial, value(trial.params))
    return [trial.params for trial in study.trials]


def peak(params: Mapping[str, Any]) -> float:
    """Highest at lr = 0.003 and rate = 0.2."""
    return -(math.log10(params["lr"] / 0.003) ** 2) - 4 * (float(params["rate"]) - 0.2) ** 2


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "random"])
def test_what_is_proposed_depends_on_seed_and_results_and_not_on_stops(
    sampler: str, opened: Opened
) -> None:
    space: dict[str, BaseDistribution] = {"lr": LR, "rate": RATE, "size": IntDistribution(8, 64)}
    tried(opened, search_of(sampler, 6, space), peak)
    params = tried(opened, search_of(sampler, 12, space), peak)
    assert len({each["lr"] for each in params}) == 12
    study = optuna.create_study(study_name="whole", direction="maximize")
    for number, expected in enumerate(params):
        study.sampler = make_sampler(sampler, 0, number)
        trial = study.ask(space)
        assert trial.params == expected
        study.tell(trial, peak(trial.params))


GRID = {
    "a": CategoricalDistribution(("x", "y")),
    "b": IntDistribution(1, 5, step=2),
    "c": FloatDistribution(0.1, 0.3, step=0.1),
}


@pytest.mark.parametrize("n_jobs", [1, 4])
def test_the_grid_holds_each_combination_once(n_jobs: int, opened: Opened) -> None:
    search = search_of("grid", None, GRID, n_jobs)
    assert (search.n_trials, search.size) == (18, 18)
    params = tried(opened, search, lambda _: 0.0)
    found = sorted((each["a"], each["b"], each["c"]) for each in params)
    assert found == sorted(itertools.product("xy", (1, 3, 5), (0.1, 0.2, 0.3)))


def test_of_the_grid_what_failed_is_tried_once_more(opened: Opened) -> None:
    search = search_of("grid", None, {"a": CategoricalDistribution(("x", "y", "z"))})
    study, storage = opened
    for (trial,) in batches(study, storage, search):
        has_failed = trial.params["a"] == "x"
        study.tell(
            trial, None if has_failed else 0.5, state=TrialState.FAIL if has_failed else None
        )
    assert tried(opened, search, lambda _: 0.5)[3:] == [{"a": "x"}]
    assert not list(batches(study, storage, search))


def test_batches_are_consecutive_and_begin_with_what_was_stopped(opened: Opened) -> None:
    search = search_of("random", 9, {"lr": LR}, n_jobs=3)
    study, storage = opened
    stopped = [study.ask({"lr": LR}) for _ in range(4)]
    study.ask()  # killed before it was proposed: fails, and does not count
    study.tell(stopped[1], 0.5)
    numbers = []
    for batch in batches(study, storage, search):
        numbers.append([trial.number for trial in batch])
        for trial in batch:
            if trial.number < 4:
                assert trial.params == stopped[trial.number].params
            study.tell(trial, 0.5)
    assert numbers == [[0], [2], [3], [5, 6, 7], [8, 9]]
    assert not list(batches(study, storage, search))


def test_the_best_of_equals_is_the_first_and_the_pareto_front_is_not_dominated() -> None:
    one = optuna.create_study(direction="minimize")
    two = optuna.create_study(directions=["maximize", "minimize"])
    assert pareto_front(one) == pareto_front(two) == []
    for value in (3.0, 1.0, 1.0):
        one.tell(one.ask(), value)
    assert [trial.number for trial in pareto_front(one)] == [1]
    for values in ((0.90, 10.0), (0.95, 30.0), (0.93, 40.0), (0.94, 20.0), (0.95, 31.0)):
        two.tell(two.ask(), values)
    assert [trial.number for trial in pareto_front(two)] == [1, 3, 0]


def test_the_median_prunes_what_half_of_the_others_beat() -> None:
    study = optuna.create_study(direction="maximize", pruner=make_pruner("median", 10))
    for value in (0.1, 0.2, 0.3, 0.4, 0.5):
        trial = study.ask()
        for epoch in (1, 2, 3):
            trial.report(value, epoch)
        study.tell(trial, value)
    for value, hopeless in ((0.29, True), (0.31, False)):
        trial = study.ask()
        trial.report(value, 1)
        assert not trial.should_prune()  # after one epoch it is too early to say
        trial.report(value, 2)
        assert bool(trial.should_prune()) is hopeless
