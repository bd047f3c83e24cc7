"""Proposals with as many digits as matter."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from digits.search.space import Dimension, Numbers, without_noise


class RoundingSampler(BaseSampler):
    """Another sampler's proposals, with as many digits as matter.

    The study, the run's name and its configuration then say 0.003142 and not 0.0031415926535897934,
    and a person can type what was best. A step is a thousandth of the interval, or less. And no
    number reaches the upper limit, which in Hydra's syntax is not part of an interval.

    Args:
        sampler: proposes.
        space: what is searched, by key.
    """

    def __init__(self, sampler: BaseSampler, space: Mapping[str, Dimension]) -> None:
        self.sampler, self.space = sampler, space

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Returns what the sampler proposes together."""
        return self.sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Proposes several values together."""
        values = self.sampler.sample_relative(study, trial, search_space)
        return {key: rounded(value, self.space[key]) for key, value in values.items()}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Proposes one value."""
        value = self.sampler.sample_independent(study, trial, param_name, param_distribution)
        return rounded(value, self.space[param_name])

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Tells the sampler that a trial begins."""
        self.sampler.before_trial(study, trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Tells the sampler that a trial has ended."""
        self.sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Draws a new seed."""
        self.sampler.reseed_rng()


def rounded(value: Any, dimension: Dimension) -> Any:
    """Returns a value with as many digits as matter: a number within `dimension`."""
    if not isinstance(dimension, Numbers) or isinstance(value, int):
        return value
    if dimension.step is not None:
        return without_noise(value)
    low, high = dimension.low, dimension.high
    digits = 3 - math.floor(math.log10(high - low))
    if dimension.log:
        digits = max(digits, 3 - math.floor(math.log10(value)))
    near = round(value, digits)
    if near >= high:
        near = round(near - 10.0**-digits, digits)
    return max(near, low)
