"""All combinations of some values, one after the other."""

import itertools
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from digits.search.space import Dimension, values_of


class GridSampler(BaseSampler):
    """Proposes all combinations, in order; then once more those that failed.

    Optuna's own one cannot be asked and told, which is how a launcher's jobs are searched.

    Args:
        space: what is searched, by key.
    """

    def __init__(self, space: Mapping[str, Dimension]) -> None:
        self.values = {key: values_of(each) or [] for key, each in space.items()}

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Returns nothing: the values are looked up one by one."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Returns nothing."""
        return {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Returns a value of the first combination that no other trial has, or failed least."""
        trials = study.get_trials(deepcopy=False)
        others = [each for each in trials if each.number != trial.number]
        failed = [each.params for each in others if each.state is TrialState.FAIL]
        taken = [each.params for each in others if each.state is not TrialState.FAIL]
        combinations = itertools.product(*self.values.values())
        proposals = [dict(zip(self.values, values, strict=True)) for values in combinations]
        return min((each for each in proposals if each not in taken), key=failed.count)[param_name]
