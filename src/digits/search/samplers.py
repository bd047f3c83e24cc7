"""What proposes the next trial."""

from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import Trial

from digits.randomness import draw_seed
from digits.search.grid import GridSampler
from digits.search.plan import Plan
from digits.search.rounding import RoundingSampler
from digits.search.space import Choices, Dimension

SAMPLERS = {"tpe": TPESampler, "cmaes": CmaEsSampler, "gp": GPSampler, "random": RandomSampler}


def make_sampler(plan: Plan, number: int) -> BaseSampler:
    """Makes the sampler for one trial.

    What it draws depends on the search's seed, the trial's number and the results so far, so that a
    search that was stopped goes on as it would have without.

    Args:
        plan: names the sampler and its seed.
        number: of the trial.
    """
    name = plan.options.sampler
    if name == "grid":
        return GridSampler(plan.space)
    seed = draw_seed(plan.options.seed, number)
    return RoundingSampler(SAMPLERS[name](seed=seed), plan.space)


def suggest(trial: Trial, key: str, dimension: Dimension) -> None:
    """Has a trial take a value for a key, unless it has one already."""
    if isinstance(dimension, Choices):
        trial.suggest_categorical(key, dimension.values)
        return
    low, high, step, log = dimension.low, dimension.high, dimension.step, dimension.log
    if isinstance(low, int) and isinstance(high, int) and isinstance(step, int):
        trial.suggest_int(key, low, high, step=step, log=log)
    else:
        trial.suggest_float(key, low, high, step=step, log=log)
