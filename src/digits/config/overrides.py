"""What a command line asks for: its overrides, and the jobs that a sweep composes from them."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from digits.errors import DigitsError
from digits.files import put


class WrongJob(HydraException):
    """A job of these overrides that cannot be composed, for the reason in `__cause__`."""

    def __init__(self, overrides: Sequence[str]) -> None:
        super().__init__(f"a job of the sweep cannot be composed: {' '.join(overrides)}")
        self.overrides = list(overrides)


def parsed(config: DictConfig, loader: ConfigLoader) -> list[Override]:
    """Return the overrides of a sweep: of `hydra.sweeper.params`, then of the command line.

    Each key once, as Hydra's sweeper takes them: the last one stays.
    """
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    lines = [f"{key}={value}" for key, value in params.items()] + list(config.hydra.overrides.task)
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(lines)
    return list({each.get_key_element(): each for each in overrides}.values())


def check_sample(config: DictConfig) -> None:
    """Refuse to read files for the embedded sample, which is a data set of its own."""
    source = OmegaConf.select(config, "data.source")
    if config.hydra.runtime.choices.get("data") == "sample" and source != "sample":
        raise DigitsError(
            f"data=sample is the embedded sample, but data.source={source} reads files; "
            "try data=mnist"
        )


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
    """Yield jobs of a sweep: the overrides of each and its configuration as plain values.

    Not all of them, but as few as hold each value that is named: composing takes 0.1 s. It is done
    once for each combination of choices (`optim=adam,sgd`); the values of the other overrides
    (`seed=0,1,2`) are put into what was composed.

    Raises:
        DigitsError: an override names no value or one twice, or a choice brings another sweep.
        WrongJob: a job cannot be composed.
    """
    named = []
    parser = OverridesParser.create(config_loader=loader)
    for override in parsed(config, loader):
        named.append(values(override))
        if not named[-1]:
            raise DigitsError(f"{override.input_line} names no value, so there is nothing to run")
        # 0.1 is 1e-1, and 1 is 1.0, but not true.
        meant = [each.value() for each in parser.parse_overrides(named[-1])]
        keys = [(isinstance(value, bool), value) for value in meant]
        if twice := [
            line for line, key in zip(named[-1], keys, strict=True) if keys.count(key) > 1
        ]:
            raise DigitsError(f"{override.input_line} names {twice[0]} twice; name each value once")
        if override.key_or_group == "name" and len(named[-1]) > 1:
            raise DigitsError(f"{override.input_line}: a sweep has one name; try {named[-1][0]}")
    composed: dict[tuple[str, ...], dict[str, Any]] = {}
    for index in range(max(map(len, named), default=1)):
        lines = [each[min(index, len(each) - 1)] for each in named]
        swept = parser.parse_overrides(
            [line for line, each in zip(lines, named, strict=True) if len(each) > 1]
        )
        choices = [each for each in swept if each.key_or_group in config.hydra.runtime.choices]
        chosen = tuple(str(each.input_line) for each in choices)
        try:
            if chosen not in composed:
                job = loader.load_sweep_config(config, lines)
                _check_same_sweeper(config, job, chosen)
                check_sample(job)
                composed[chosen] = plain(job)
        except HydraException as error:
            raise WrongJob(lines) from error
        assigned = {each.key_or_group: each.value() for each in swept if each not in choices}
        yield lines, put(composed[chosen], assigned)


def _check_same_sweeper(config: DictConfig, job: DictConfig, chosen: Sequence[str]) -> None:
    """Refuse choices that bring a sweeper or launcher: a sweep that has begun drops them."""
    for key in ("hydra.sweeper", "hydra.launcher"):
        own, brought = (OmegaConf.to_container(OmegaConf.select(c, key)) for c in (config, job))
        if own != brought:
            raise DigitsError(
                f"{' '.join(chosen)} sets {key}, which a sweep over it cannot use; "
                f"try each choice by itself, as -m {' '.join(chosen)}"
            )


def is_plain_sweep(config: DictConfig) -> bool:
    """Return whether Hydra's own sweeper is chosen, neither a search nor another plugin."""
    return str(OmegaConf.select(config, "hydra.sweeper._target_")).endswith(".BasicSweeper")


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
