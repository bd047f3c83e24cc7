"""Keys that a composed configuration holds and no one reads, or lacks and a run needs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from digits.text import typed
from digits.config.nearest import leaves, suggestion
from digits.config.rules import CLOSED, ELSEWHERE, REQUIRED
from digits.errors import DigitsError


def check_keys(values: Mapping[str, Any], hydra: DictConfig) -> None:
    """Checks the keys of a composed configuration; `+`, `~` and YAML files add and remove any.

    Args:
        values: the configuration as plain Python.
        hydra: Hydra's part of it.

    Raises:
        DigitsError: a key is unknown, set from elsewhere, or missing.
    """
    known = known_keys(hydra)
    for key in values.keys() - known:
        others = [*known, *leaves({name: values[name] for name in values.keys() & known})]
        form = "{}" if isinstance(values[key], Mapping) else f"{{}}={typed(values[key])}"
        advice = suggestion(key, others, form, valid=known)
        raise DigitsError(f"{key} is unknown, nothing reads it; {advice}")
    for group, keys in CLOSED.items():
        for name in (values.get(group) or {}).keys() - set(keys):
            advice = suggestion(f"{group}.{name}", [f"{group}.{key}" for key in keys])
            raise DigitsError(f"{group}.{name} is unknown, nothing reads it; {advice}")
    for key, other in ELSEWHERE.items():
        if _has(values, key):
            raise DigitsError(f"{key} is set from {other}; try {other}= instead")
    for key in REQUIRED:
        if not _has(values, key):
            raise DigitsError(f"{key} is missing, and every run needs it; try without ~{key}")


def known_keys(hydra: DictConfig) -> set[str]:
    """Returns the config groups, and the keys of the primary file (conf/config.yaml)."""
    known = set(GlobalHydra.instance().config_loader().list_groups("")) - {"hydra"}
    for source in hydra.runtime.config_sources:
        file = Path(source.path) / f"{hydra.job.config_name}.yaml"
        if source.schema == "file" and file.exists():
            known |= {str(key) for key in OmegaConf.load(file)} - {"defaults", "hydra"}
    return known


def _has(values: Any, key: str) -> bool:
    for name in key.split("."):
        if not isinstance(values, Mapping) or name not in values:
            return False
        values = values[name]
    return True
