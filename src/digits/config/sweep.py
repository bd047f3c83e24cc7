"""The jobs of a sweep, composed before the first of them starts."""

import itertools
import math
from collections.abc import Iterator

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from digits.errors import DigitsError

MAX_JOBS = 64
"""A larger sweep is checked value by value, not job by job: composing one takes about 20 ms."""


class WrongJob(HydraException):
    """A job of a sweep cannot be composed, for the reason that is this error's cause.

    Args:
        overrides: the job's own.
    """

    def __init__(self, overrides: list[str]) -> None:
        super().__init__(f"a job of the sweep cannot be composed: {' '.join(overrides)}")
        self.overrides = overrides


def jobs(config: DictConfig, loader: ConfigLoader) -> Iterator[DictConfig]:
    """Yields the configurations of a sweep's jobs, or some that hold every one of its values.

    Args:
        config: the sweep's own configuration, whose overrides name several values.
        loader: composes.
    """
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    lines = [f"{key}={value}" for key, value in params.items()] + list(config.hydra.overrides.task)
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(lines)
    for override in overrides:
        if not values(override):
            raise DigitsError(f"{override.input_line} names no value, so there is nothing to run")
    choices = {override.get_key_element(): values(override) for override in overrides}
    if math.prod(len(each) for each in choices.values()) <= MAX_JOBS:
        combinations = [list(job) for job in itertools.product(*choices.values())]
    else:
        first = {key: each[0] for key, each in choices.items()}
        combinations = [list(first.values())]
        for key, each in choices.items():
            combinations += [list((first | {key: value}).values()) for value in each[1:]]
    for job in combinations:
        try:
            yield loader.load_sweep_config(config, job)
        except HydraException as error:
            raise WrongJob(job) from error


def values(override: Override) -> list[str]:
    """Returns an override once for each value that it names; an interval as its two ends."""
    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep):
        assert value.start is not None
        assert value.end is not None
        end = value.end if isinstance(value.end, int) else math.nextafter(value.end, value.start)
        return [f"{key}={value.start}", f"{key}={end}"]
    if override.is_sweep_override():
        return [f"{key}={value}" for value in override.sweep_string_iterator()]
    return [str(override.input_line)]
