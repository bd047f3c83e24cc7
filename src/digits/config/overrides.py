"""What a command line asks for: its overrides, and the jobs that a sweep composes from them."""

import copy
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from digits.errors import DigitsError

MAX_JOBS = 500
"""A larger sweep is checked value by value, not job by job: composing and checking take time."""


class WrongJob(HydraException):
    """A job of a sweep, of these overrides, cannot be composed for the reason in `__cause__`."""

    def __init__(self, overrides: Sequence[str]) -> None:
        super().__init__(f"a job of the sweep cannot be composed: {' '.join(overrides)}")
        self.overrides = list(overrides)


def parsed(config: DictConfig, loader: ConfigLoader) -> list[Override]:
    """Return the overrides of a sweep: of `hydra.sweeper.params`, then of the command line."""
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    lines = [f"{key}={value}" for key, value in params.items()] + list(config.hydra.overrides.task)
    return OverridesParser.create(config_loader=loader).parse_overrides(lines)


def values(override: Override) -> list[str]:
    """Return an override once for each value that it names; an interval as its two ends."""
    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep):
        assert value.start is not None
        assert value.end is not None
        end = value.end if isinstance(value.end, int) else math.nextafter(value.end, value.start)
        return [f"{key}={value.start}", f"{key}={end}"]
    if override.is_sweep_override():
        return [f"{key}={value}" for value in override.sweep_string_iterator()]
    return [str(override.input_line)]


def jobs(config: DictConfig, loader: ConfigLoader) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Yield the jobs of a sweep: the overrides of each and its configuration as plain values.

    Composing takes 0.1 s, so it is done once for each combination of choices (`optim=adam,sgd`);
    the values of the other overrides (`seed=0,1,2`) are put into what was composed.

    Raises:
        DigitsError: an override names no value.
        WrongJob: a job cannot be composed.
    """
    choices: list[list[str]] = []
    others: list[list[str]] = []
    for override in parsed(config, loader):
        named = values(override)
        if not named:
            raise DigitsError(f"{override.input_line} names no value, so there is nothing to run")
        is_choice = override.key_or_group in config.hydra.runtime.choices
        (choices if is_choice else others).append(named)
    single = [each[0] for each in others]
    swept = [each for each in others if len(each) > 1]
    parser = OverridesParser.create(config_loader=loader)
    assigned = {line: parser.parse_override(line) for each in swept for line in each}
    for chosen in _combinations(choices):
        try:
            composed = plain(loader.load_sweep_config(config, [*chosen, *single]))
        except HydraException as error:
            raise WrongJob([*chosen, *single]) from error
        for lines in _combinations(swept):
            job = {assigned[line].key_or_group: assigned[line].value() for line in lines}
            kept = [line for line in single if line not in assigned]
            yield [*chosen, *kept, *lines], put(composed, job)


def _combinations(alternatives: Sequence[Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Yield all combinations; if there are too many, some that hold each alternative."""
    if math.prod(map(len, alternatives)) <= MAX_JOBS:
        yield from itertools.product(*alternatives)
        return
    for index in range(max(map(len, alternatives))):
        yield tuple(each[min(index, len(each) - 1)] for each in alternatives)


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a configuration as plain Python values, without Hydra's part."""
    found: dict[str, Any] = {}
    for key in config:
        if key != "hydra":
            value = config[key]  # one by one: each may refer to Hydra's part
            if OmegaConf.is_config(value):
                value = OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
            found[str(key)] = value
    return found


def put(values: Mapping[str, Any], assigned: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of nested values with others put in by their dotted keys."""
    copied = copy.deepcopy(dict(values))
    for key, value in assigned.items():
        *parents, name = key.split(".")
        node = copied
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    return copied
