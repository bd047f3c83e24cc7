"""What a search is about: what is searched, what is fixed, and by which options."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from digits.text import typed as shown
from digits.config.resolvers import num_cores
from digits.files import flat
from digits.search.options import NUM_TRIALS, SearchOptions, read_options
from digits.search.space import Choices, Dimension, dimension, num_values

MAY_DIFFER = (
    *("name", "test", "resume", "data.dir", "data.mirrors", "logger"),
    *("trainer.accelerator", "trainer.profiler"),
)
"""Keys (and all below them) that a search may go on with other values of: no result depends on
them."""

SWEEPER = "hydra_plugins.digits_optuna.sweeper.OptunaSweeper"


@dataclass(frozen=True)
class Plan:
    """A search as it was asked for.

    Args:
        options: how to search.
        overrides: by key, what is searched, or the override that is the same in all trials.
        n_jobs: how many trials run at a time.
    """

    options: SearchOptions
    overrides: dict[str, Dimension | str]
    n_jobs: int = 1

    @property
    def space(self) -> dict[str, Dimension]:
        """What is searched, by key."""
        return {key: each for key, each in self.overrides.items() if not isinstance(each, str)}

    @property
    def n_trials(self) -> int:
        """How many trials there shall be in all."""
        if self.options.sampler != "grid" or self.size is None:
            return self.options.n_trials or NUM_TRIALS
        return min(self.size, self.options.n_trials or self.size)

    @property
    def size(self) -> int | None:
        """How many different trials are possible; `None` if there is no end of them."""
        numbers = [num_values(each) for each in self.space.values()]
        known = [number for number in numbers if number is not None]
        return math.prod(known) if len(known) == len(numbers) else None

    def command_line(self, values: dict[str, Any]) -> list[str]:
        """Returns the overrides of a trial.

        Args:
            values: what is to be tried, by key.
        """
        searched = [f"{key}={values[key]}" for key in self.space]
        fixed = [each for each in self.overrides.values() if isinstance(each, str)]
        return searched + fixed  # in this order, the run's name begins with what was searched

    def shared(self, groups: Collection[str]) -> list[str]:
        """Returns the overrides that are the same in all trials; of searched groups, one option.

        Args:
            groups: the config groups.
        """
        return [
            each if isinstance(each, str) else f"{key}={each.values[0]}"
            for key, each in self.overrides.items()
            if isinstance(each, str) or (isinstance(each, Choices) and key in groups)
        ]

    def asked(self, shared: Mapping[str, Any]) -> dict[str, str]:
        """Returns what must be the same when the search is gone on with, as text by key.

        Args:
            shared: the configuration that all trials share, as plain Python.
        """
        asked = {key: str(dimension) for key, dimension in self.space.items()}
        asked["hydra.sweeper.objectives"] = shown(list(self.options.objectives))
        free = tuple(f"{name}." for name in MAY_DIFFER)
        for key, value in flat(shared):
            if key not in asked and not f"{key}.".startswith(free):
                asked[key] = shown(value)
        return asked


def is_search(hydra: Any) -> bool:
    """Says whether Hydra's part of a configuration has our sweeper."""
    return bool(OmegaConf.select(hydra, "sweeper._target_") == SWEEPER)


def read_plan(config: DictConfig, loader: ConfigLoader) -> Plan:
    """Reads what is to be searched, from `hydra.sweeper.params` and the command line.

    Args:
        config: the sweep's own configuration.
        loader: knows the config groups.

    Raises:
        DigitsError: an option or a search space is wrong.
    """
    sweeper: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    options = read_options(sweeper)
    overrides: dict[str, Dimension | str] = {}
    for override in parsed(config, loader):
        found = dimension(override) or str(override.input_line)
        overrides[override.get_key_element()] = found
    at_once = int(config.hydra.launcher.get("n_jobs") or 1)  # -1, joblib's default: one a core
    n_jobs = options.n_jobs or (at_once if at_once > 0 else num_cores())
    return Plan(options, overrides, n_jobs)


def parsed(config: DictConfig, loader: ConfigLoader) -> list[Override]:
    """Returns the overrides of a sweep: of `hydra.sweeper.params`, then of the command line."""
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    lines = [f"{key}={value}" for key, value in params.items()]
    parser = OverridesParser.create(config_loader=loader)
    return parser.parse_overrides(lines + list(config.hydra.overrides.task))
