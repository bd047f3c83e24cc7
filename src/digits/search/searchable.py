"""Whether a sweep can be done as it was asked for: by a search, or by Hydra's own sweeper."""

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

from digits.errors import DigitsError
from digits.search.plan import Plan, is_search, parsed, read_plan
from digits.search.space import Numbers, values_of


def check_search(config: DictConfig, loader: ConfigLoader) -> None:
    """Checks a search before it begins, and that nothing but a search has intervals.

    Args:
        config: the sweep's own configuration.
        loader: knows the config groups.

    Raises:
        DigitsError: an option is wrong, or the sweep cannot be done.
    """
    if is_search(config.hydra):
        plan = read_plan(config, loader)
        _check_space(plan)
        _check_launcher(plan, config.hydra.runtime.choices["hydra/launcher"])
    elif config.hydra.runtime.choices["hydra/sweeper"] == "basic":
        for override in parsed(config, loader):
            if override.is_interval_sweep():
                raise DigitsError(
                    f"{override.input_line} has no end of values to try one after the other; "
                    f"try hydra/sweeper=optuna, or some values: {override.key_or_group}=A,B"
                )


def _check_space(plan: Plan) -> None:
    sampler = plan.options.sampler
    if not plan.space:
        example = "'optim.lr=tag(log,interval(1e-4,1e-1))'"
        raise DigitsError(f"hydra/sweeper=optuna has nothing to search; try {example}")
    for key, each in plan.space.items():
        if sampler == "grid" and isinstance(each, Numbers) and values_of(each) is None:
            raise DigitsError(
                f"hydra.sweeper.sampler=grid tries all values, and {key}={each} has no end of "
                f"them; try {key}={each.low:g},{(each.low + each.high) / 2:g} "
                "or hydra.sweeper.sampler=tpe"
            )
    if plan.size is not None and plan.size < plan.n_trials:
        raise DigitsError(
            f"hydra.sweeper.n_trials={plan.n_trials}, but only {plan.size} different trials are "
            "possible; try hydra.sweeper.sampler=grid"
        )
    if sampler == "cmaes" and sum(isinstance(each, Numbers) for each in plan.space.values()) < 2:
        raise DigitsError(
            "hydra.sweeper.sampler=cmaes searches two or more intervals or ranges together, got "
            f"{', '.join(f'{key}={each}' for key, each in plan.space.items())}; "
            "try hydra.sweeper.sampler=tpe"
        )
    if sampler == "cmaes" and len(plan.options.objectives) > 1:
        raise DigitsError(
            "hydra.sweeper.sampler=cmaes searches for one objective, got "
            f"{len(plan.options.objectives)}; try hydra.sweeper.sampler=tpe"
        )


def _check_launcher(plan: Plan, launcher: str) -> None:
    if plan.n_jobs > 1 and launcher == "basic":
        raise DigitsError(
            f"hydra.sweeper.n_jobs={plan.n_jobs}, but hydra/launcher=basic runs one trial at a "
            "time; try hydra/launcher=parallel"
        )
