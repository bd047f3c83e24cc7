"""The options of a search, `hydra.sweeper.*`."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from digits.config.kinds import any_of, list_of, one_of, shown
from digits.config.nearest import suggestion
from digits.config.rules import COUNT, NULL, SEED, Rule
from digits.errors import DigitsError

OBJECTIVES: dict[str, Literal["minimize", "maximize"]] = {
    "val/accuracy": "maximize",
    "val/loss": "minimize",
    "num_parameters": "minimize",
    "train_time_s": "minimize",
}
"""What of metrics.json a search can look for, and which way. Not the test accuracy: options that
were chosen by it would make it no test any more."""

EACH_EPOCH = ("val/accuracy", "val/loss")
"""Objectives that are known after each epoch, by which hopeless trials can be told."""

NUM_TRIALS = 20
"""Trials of a search that does not say how many."""

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
    """What `hydra.sweeper` says.

    Args:
        n_trials: how many trials the study shall have in all; `None` for `NUM_TRIALS`, and for as
            many as there are on a grid.
        sampler: what proposes the next trial: "tpe", "cmaes", "gp", "random" or "grid".
        seed: of the sampler.
        pruner: what ends hopeless trials: "median", "hyperband" or `None`.
        objectives: keys of metrics.json.
        n_jobs: trials at a time; `None`: as many as the launcher runs at once.
    """

    n_trials: int | None
    sampler: str
    seed: int
    pruner: str | None
    objectives: tuple[str, ...]
    n_jobs: int | None

    @property
    def directions(self) -> list[Literal["minimize", "maximize"]]:
        """Which way each objective is better: "maximize" or "minimize"."""
        return [OBJECTIVES[objective] for objective in self.objectives]

    def why_not_pruned(self, strategy: str) -> str | None:
        """Returns why trials are not ended early although there is a pruner, or `None`.

        Args:
            strategy: Lightning's, `trainer.strategy`.
        """
        if len(self.objectives) > 1:
            return "with several objectives none is hopeless"
        if self.objectives[0] not in EACH_EPOCH:
            return f"{self.objectives[0]} is not measured each epoch"
        if strategy.startswith("ddp"):
            return f"trainer.strategy={strategy} trains in processes of its own"
        return None


def read_options(sweeper: Mapping[str, Any]) -> SearchOptions:
    """Checks and returns the options.

    Args:
        sweeper: `hydra.sweeper` as plain Python.

    Raises:
        DigitsError: a value is wrong, or a package is missing.
    """
    keys = [rule.key for rule in RULES]
    for key in sweeper.keys() - {"_target_", "params", *keys}:
        advice = suggestion(key, keys, f"hydra.sweeper.{{}}={shown(sweeper[key])}")
        raise DigitsError(f"hydra.sweeper.{key} is unknown, nothing reads it; {advice}")
    objectives = sweeper["objectives"]
    for name in objectives if isinstance(objectives, list) else ():
        if str(name).startswith("test/"):
            raise DigitsError(
                f"hydra.sweeper.objectives: options chosen by {name} would make it no test any "
                "more; try hydra.sweeper.objectives=[val/accuracy]"
            )
    for rule in RULES:
        value, key = sweeper[rule.key], f"hydra.sweeper.{rule.key}"
        if not rule.kind.accepts(value):
            expected = f"{key} must be {rule.kind.words}, got {shown(value)}"
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


def in_words(objective: str, value: float) -> str:
    """Returns a value of an objective as a person reads it."""
    if objective.endswith("accuracy"):
        return f"{value:.2%}"
    return f"{value:,.0f}" if objective.startswith("num_") else f"{value:.4g}"
