"""The jobs of a sweep, composed before the first of them starts."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from digits.errors import DigitsError

MAX_JOBS = 500
"""A larger sweep is checked value by value, not job by job: composing and checking take time."""


Assignments = list[dict[str, Any]]
"""For each job, its own values by their dotted keys."""


class WrongJob(HydraException):
    """A job of a sweep cannot be composed, for the reason that is this error's cause.

    Args:
        overrides: the job's own.
    """

    def __init__(self, overrides: list[str]) -> None:
        super().__init__(f"a job of the sweep cannot be composed: {' '.join(overrides)}")
        self.overrides = overrides


def jobs(config: DictConfig, loader: ConfigLoader) -> Iterator[tuple[DictConfig, Assignments]]:
    """Yields what a sweep's jobs are: composed configurations, and values to put into each.

    Composing takes 0.1 s, so it is done once for each combination of choices (`optim=adam,sgd`),
    and then serves all combinations of values (`seed=0,1,2`).

    Args:
        config: the sweep's own configuration, whose overrides name several values.
        loader: composes.
    """
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    lines = [f"{key}={value}" for key, value in params.items()] + list(config.hydra.overrides.task)
    parser = OverridesParser.create(config_loader=loader)
    choices: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for override in parser.parse_overrides(lines):
        named = values(override)
        if not named:
            raise DigitsError(f"{override.input_line} names no value, so there is nothing to run")
        is_choice = override.key_or_group in config.hydra.runtime.choices
        (choices if is_choice else others)[override.get_key_element()] = named
    single = [each[0] for each in others.values()]
    swept = [each for each in others.values() if len(each) > 1]
    parsed = {line: parser.parse_override(line) for each in swept for line in each}
    assigned = {line: (each.key_or_group, each.value()) for line, each in parsed.items()}
    for chosen in combinations(list(choices.values())):
        job = [*chosen, *single]
        try:
            composed = loader.load_sweep_config(config, job)
        except HydraException as error:
            raise WrongJob(job) from error
        yield composed, [dict(assigned[line] for line in each) for each in combinations(swept)]


def combinations(alternatives: Sequence[Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Yields all combinations; of too many, some that hold each alternative."""
    if math.prod(map(len, alternatives)) <= MAX_JOBS:
        yield from itertools.product(*alternatives)
        return
    for index in range(max(map(len, alternatives))):
        yield tuple(each[min(index, len(each) - 1)] for each in alternatives)


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
