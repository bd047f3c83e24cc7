"""Hydra's own part of a configuration, checked before Hydra calls anything that it names.

Its callbacks, launcher and sweeper are made, and its logging is set up, before the first callback
of ours could look at them; hence this.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import hydra._internal.hydra
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import configure_log
from omegaconf import DictConfig, OmegaConf

from digits.text import typed
from digits.config.targets import check_targets
from digits.errors import DigitsError

CHECK = "digits.config.check.CheckBeforeRun"
_LOG_CLASS = re.compile(r"logging\.(handlers\.)?[A-Z]\w*|colorlog\.ColoredFormatter")
_STREAMS = ("ext://sys.stdout", "ext://sys.stderr")


class CheckedHydra(Hydra):
    """Hydra, which checks what it has composed for a run or sweep."""

    def compose_config(self, *args: Any, **kwargs: Any) -> DictConfig:
        """Composes; what is only typed is not checked, nor is Hydra's own help."""
        is_logged = kwargs.pop("with_log_configuration", False)
        config = super().compose_config(*args, **kwargs)
        if is_logged and kwargs["config_name"] is not None:
            check_hydra(config)
            configure_log(config.hydra.hydra_logging, config.hydra.verbose)
        return config


def check_first() -> None:
    """Makes `hydra.main` use `CheckedHydra`."""
    hydra._internal.hydra.Hydra = CheckedHydra  # type: ignore[misc]


def check_hydra(config: DictConfig) -> None:
    """Checks what Hydra's part names: callbacks, launcher, sweeper, and classes of logging.

    Args:
        config: as composed, with Hydra's part.

    Raises:
        DigitsError: a name is not allowed, or the check before a run is taken out.
    """
    HydraConfig.instance().set_config(config)  # the names of runs are made from it
    parts = {}
    for name in ("callbacks", "launcher", "sweeper"):
        part = OmegaConf.select(config, f"hydra.{name}")
        parts[name] = OmegaConf.to_container(part, resolve=True) if part is not None else None
    check_targets({"hydra": parts})
    callbacks: Any = parts["callbacks"] or {}
    if (callbacks.get("check") or {}).get("_target_") != CHECK:
        raise DigitsError(
            "hydra.callbacks.check looks for mistakes before a run, and cannot be taken out; "
            f"try hydra.callbacks.check._target_={CHECK}"
        )
    for name in ("hydra_logging", "job_logging"):
        logging = OmegaConf.to_container(config.hydra[name], resolve=False)
        for key, value in _leaves(logging, f"hydra.{name}"):
            _check_log(key, value)


def _check_log(key: str, value: Any) -> None:
    """Checks one value of a logging configuration (`logging.config.dictConfig`)."""
    name, text = key.rpartition(".")[2], str(value)
    if name in ("class", "()") and not _LOG_CLASS.fullmatch(text):
        expected = "must be a class of Python's logging"
        raise DigitsError(f"{key} {expected}, got {typed(value)}; try logging.StreamHandler")
    if "${" in text and name not in ("filename", "level"):
        expected = "must be a plain value; only filename and level may be made from others"
        raise DigitsError(f"{key} {expected}, got {typed(value)}; try the value itself")
    if text.startswith(("ext://", "cfg://")) and text not in _STREAMS:
        raise DigitsError(
            f"{key} must be one of {', '.join(_STREAMS)}, got {typed(value)}; try {_STREAMS[0]}"
        )


def _leaves(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for name, child in node.items():
            yield from _leaves(child, f"{key}.{name}")
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from _leaves(child, f"{key}.{index}")
    else:
        yield key, node
