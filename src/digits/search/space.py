"""What a search tries: Hydra's sweep syntax as Optuna's distributions, and the checks of both.

Optuna, which takes half a second to import, is imported once a search is asked for.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep, Sweep
from omegaconf import DictConfig, OmegaConf

from digits.config.overrides import is_plain_sweep, parsed
from digits.config.resolvers import num_cores
from digits.config.schema import SearchOptions, read_search_options
from digits.errors import DigitsError
from digits.text import accuracy, first_line

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

SWEEPER = "hydra_plugins.digits_optuna.OptunaSweeper"
NUM_TRIALS = 20
"""Trials of a search that does not say how many."""
MEASURED_EACH_EPOCH = ("val/accuracy", "val/loss")
"""Objectives by which a trial can be pruned."""


@dataclass(frozen=True)
class Search:
    """A search as it was asked for."""

    options: SearchOptions
    space: "dict[str, BaseDistribution]"
    typed: dict[str, str]
    """By key, the space as it was typed, e.g. "interval(0,0.5)"."""
    shared: list[str]
    """The overrides that all trials have in common."""
    n_jobs: int = 1
    """How many trials run at a time."""

    @property
    def size(self) -> float:
        """Number of different trials that are possible; infinite if an interval is searched."""
        return math.prod(num_values(each) for each in self.space.values())

    @property
    def n_trials(self) -> int:
        if self.options.sampler == "grid":
            return int(min(self.size, self.options.n_trials or self.size))
        return self.options.n_trials or NUM_TRIALS


def in_words(objective: str, value: float) -> str:
    """Return an objective with its value, e.g. "val/accuracy 97.63%"."""
    if objective.endswith("accuracy"):
        return f"{objective} {accuracy(value)}"
    return f"{objective} {value:,.0f}" if value >= 1000 else f"{objective} {value:.4g}"


def why_not_pruned(objectives: Sequence[str]) -> str | None:
    """Return why trials are not pruned although there is a pruner, or `None`."""
    if len(objectives) > 1:
        return "Optuna's pruners compare a single objective"
    if objectives[0] not in MEASURED_EACH_EPOCH:
        return f"{objectives[0]} is not measured each epoch"
    return None


def check_search(config: DictConfig, loader: ConfigLoader) -> None:
    """Check a search before it begins, and that only a search has intervals."""
    if OmegaConf.select(config, "hydra.sweeper._target_") == SWEEPER:
        read_search(config, loader)
    elif is_plain_sweep(config):
        for override in parsed(config, loader):
            if override.is_interval_sweep():
                raise DigitsError(
                    f"{override.input_line} has infinitely many values; "
                    f"try hydra/sweeper=optuna, or some values: {override.key_or_group}=A,B"
                )


def read_search(config: DictConfig, loader: ConfigLoader) -> Search:
    """Read what is to be searched, from `hydra.sweeper.params` and the command line."""
    sweeper: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    options = read_search_options(sweeper)
    overrides = {override.get_key_element(): override for override in parsed(config, loader)}
    swept = {key: each for key, each in overrides.items() if each.is_sweep_override()}
    at_once = int(config.hydra.launcher.get("n_jobs") or 1)  # joblib's -1: one a core
    # Without one, the name is made from the time, and another process would make another one.
    shared = {"name": f"name={config.name}"}
    shared |= {key: str(each.input_line) for key, each in overrides.items() if key not in swept}
    search = Search(
        options=options,
        space={key: distribution(override) for key, override in swept.items()},
        typed={key: "".join(each.get_value_string().split()) for key, each in swept.items()},
        shared=list(shared.values()),
        n_jobs=options.n_jobs or (at_once if at_once > 0 else num_cores()),
    )
    _check_sampler(search)
    return search


def distribution(override: Override) -> "BaseDistribution":
    """Return what Optuna draws from for an override that names several values."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value: Any = override.value()
    log = isinstance(value, Sweep) and "log" in value.tags
    if isinstance(value, ChoiceSweep | RangeSweep):
        value.shuffle = False  # the same space at every start
    try:
        if isinstance(value, IntervalSweep):
            low, high = value.start, value.end
            assert low is not None and high is not None
            if isinstance(low, int) and isinstance(high, int):
                return IntDistribution(low, high, log=log)
            # In Hydra's syntax the upper limit is not part of an interval.
            return FloatDistribution(low, math.nextafter(high, -math.inf), log=log)
        if isinstance(value, RangeSweep):
            values = sorted(value.range())
            if not values:
                raise ValueError("the range is empty")
            if all(isinstance(each, int) for each in values):
                return IntDistribution(values[0], values[-1], log=log, step=abs(int(value.step)))
            low, high, step = (float(f"{x:.12g}") for x in (values[0], values[-1], abs(value.step)))
            return FloatDistribution(low, high, log=log, step=step)  # 0.3, not 0.30000000000000004
    except ValueError as error:
        raise DigitsError(f"{override.input_line}: {first_line(error)}") from error
    return CategoricalDistribution(tuple(override.sweep_string_iterator()))


def num_values(distribution: "BaseDistribution") -> float:
    """Return how many values a distribution has."""
    space: Any = distribution
    if hasattr(space, "choices"):
        return len(space.choices)
    return 1 + round((space.high - space.low) / space.step) if space.step else math.inf


def _check_sampler(search: Search) -> None:
    sampler = search.options.sampler
    if not search.space:
        example = "'optim.lr=tag(log,interval(1e-4,1e-1))'"
        raise DigitsError(f"hydra/sweeper=optuna has nothing to search; try {example}")
    if sampler == "grid" and math.isinf(search.size):
        raise DigitsError(
            "hydra.sweeper.sampler=grid tries all values, and an interval has infinitely many; "
            "try hydra.sweeper.sampler=tpe"
        )
    if search.size < search.n_trials:
        raise DigitsError(
            f"hydra.sweeper.n_trials={search.n_trials}, but only {search.size} different trials "
            "are possible; try hydra.sweeper.sampler=grid"
        )
    num_numeric = sum(not hasattr(each, "choices") for each in search.space.values())
    if sampler == "cmaes" and (num_numeric < 2 or len(search.options.objectives) > 1):
        raise DigitsError(
            "hydra.sweeper.sampler=cmaes searches two or more intervals or ranges for one "
            f"objective, got {num_numeric} for {len(search.options.objectives)}; "
            "try hydra.sweeper.sampler=tpe"
        )
