"""The options of a search, `hydra.sweeper.*`."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from digits.config.kinds import any_of, list_of, one_of
from digits.text import typed
from digits.config.nearest import suggestion
from digits.config.rules import COUNT, NULL, SEED, Rule
from digits.errors import DigitsError

OBJECTIVES = ("val/accuracy", "val/loss", "num_parameters", "train_time_s")

RULES = [
    Rule("n_trials", any_of(NULL, COUNT), "20"),
    Rule("sampler", one_of("tpe", "cmaes", "gp", "random", "grid"), "tpe"),
    Rule("seed", SEED, "0"),
    Rule("pruner", one_of("median", "hyperband", None), "median"),
    Rule("objectives", list_of(one_of(*OBJECTIVES)), "[val/accuracy]"),
    Rule("n_jobs", any_of(NULL, COUNT), "null"),
]


@dataclass(frozen=True)
class SearchOptions:
    """What `hydra.sweeper` says."""

    n_trials: int | None
    sampler: str
    seed: int
    pruner: str | None
    objectives: tuple[str, ...]
    n_jobs: int | None


def read_search_options(sweeper: Mapping[str, Any]) -> SearchOptions:
    """Check and return the options."""
    keys = [rule.key for rule in RULES]
    for key in sweeper.keys() - {"_target_", "params", *keys}:
        advice = suggestion(key, keys, f"hydra.sweeper.{{}}={typed(sweeper[key])}")
        raise DigitsError(f"hydra.sweeper.{key} is unknown, nothing reads it; {advice}")
    objectives = sweeper["objectives"]
    for name in objectives if isinstance(objectives, list) else ():
        if str(name).startswith("test/"):
            raise DigitsError(
                f"hydra.sweeper.objectives must not hold {name}: selecting on the test set leaks "
                "it; try hydra.sweeper.objectives=[val/accuracy]"
            )
    for rule in RULES:
        value, key = sweeper[rule.key], f"hydra.sweeper.{rule.key}"
        if not rule.kind.accepts(value):
            expected = f"{key} must be {rule.kind.words}, got {typed(value)}"
            raise DigitsError(f"{expected}; try {key}={rule.remedy}")
    values = {key: sweeper[key] for key in keys}
    options = SearchOptions(**values | {"objectives": tuple(objectives)})
    for package in ("optuna", "cmaes") if options.sampler == "cmaes" else ("optuna",):
        if importlib.util.find_spec(package) is None:
            wants = "hydra/sweeper=optuna" if package == "optuna" else "hydra.sweeper.sampler=cmaes"
            raise DigitsError(
                f"{wants} needs the package {package}, which is not installed; "
                "try pip install 'digits[search]'"
            )
    return options
