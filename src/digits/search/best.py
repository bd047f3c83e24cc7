"""The best configuration as a ready experiment file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_loader import ConfigLoader
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from digits.files import write_atomically
from digits.search.plan import MAY_DIFFER

GROUPS = ("model", "optim", "norm", "schedule")
"""Choices that an experiment file names even where they are those of the default run."""

PLACES = ("trainer", "logger", "experiment")
"""Choices that it does not name: those of the machine, and what has been taken apart already."""


def write_experiment(
    path: Path, run_dir: Path, config_name: str, loader: ConfigLoader, comments: Sequence[str]
) -> None:
    """Writes a file for conf/experiment that composes what a finished run was composed of.

    But for what does not change the result, as where the data are.

    Args:
        path: the file.
        run_dir: the run, whose `.hydra/` says how it was composed.
        config_name: of the primary configuration file.
        loader: composes.
        comments: lines for the file's head.
    """
    hydra = OmegaConf.load(run_dir / ".hydra" / "hydra.yaml")
    chosen = {
        group: option
        for group, option in OmegaConf.select(hydra, "hydra.runtime.choices").items()
        if "/" not in group and group not in PLACES
    }
    default = _compose(loader, config_name, [])
    usual = default.hydra.runtime.choices
    named = {
        group: option
        for group, option in chosen.items()
        if group in GROUPS or usual.get(group) != option
    }
    choices = [f"{group}={option}" for group, option in named.items()]
    without = _plain(_compose(loader, config_name, choices))
    values = added(without, _plain(OmegaConf.load(run_dir / ".hydra" / "config.yaml")))
    lines = ["# @package _global_", *(f"# {comment}" for comment in comments), "defaults:"]
    lines += [f"  - override /{group}: {option}" for group, option in sorted(named.items())]
    text = "\n".join(lines) + "\n"
    if values:
        text += yaml.safe_dump(values, default_flow_style=None, sort_keys=True, width=100)
    write_atomically(path, text.encode())


def added(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns, as nested as they are, the values that `base` lacks or has otherwise."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), Mapping):
            if inner := added(base[key], value):
                found[key] = inner
        elif key not in base or base[key] != value:
            found[key] = value
    return found


def _compose(loader: ConfigLoader, config_name: str, overrides: list[str]) -> DictConfig:
    return loader.load_configuration(config_name, overrides, RunMode.RUN)


def _plain(config: Any) -> dict[str, Any]:
    """Returns a configuration without Hydra's part and without what changes no result."""
    values: Any = OmegaConf.to_container(config)
    for key in ("hydra", *MAY_DIFFER):
        node = values
        *parents, name = key.split(".")
        for parent in parents:
            node = node.get(parent) or {}
        node.pop(name, None)
    return dict(values)
