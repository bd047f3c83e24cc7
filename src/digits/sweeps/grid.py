"""Which sweep a sweep directory is of."""

import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from digits.errors import DigitsError
from digits.runs import NO_EFFECT
from digits.search.space import STUDY, is_search

STARTED = ".sweep.json"


def asked(config: DictConfig) -> list[str]:
    """Returns what a sweep's jobs are made of: its overrides, but for what changes no result."""
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    lines = [f"{key}={value}" for key, value in params.items()] + list(config.hydra.overrides.task)
    free = tuple(f"{key}." for key in NO_EFFECT)
    return [
        line for line in lines if not f"{line.lstrip('+~').partition('=')[0]}.".startswith(free)
    ]


def check_grid(config: DictConfig) -> None:
    """Refuses to put other jobs into the directory of a sweep or search than it was made for.

    Jobs are numbered, so that those of another grid would stand beside the old ones, and some of
    them twice.

    Args:
        config: the sweep's, with Hydra's part.

    Raises:
        DigitsError: the directory is of another sweep, or of a search.
    """
    sweep_dir = Path(config.hydra.sweep.dir)
    if is_search(config.hydra):
        return
    if (sweep_dir / STUDY).exists():
        raise DigitsError(f"{sweep_dir} holds a search; try another name=SWEEP")
    old, new = started(sweep_dir).get("asked"), asked(config)
    if old is not None and old != new:
        raise DigitsError(
            f"{sweep_dir} holds a sweep of {' '.join(old)}, not of {' '.join(new)}; "
            "try another name=SWEEP"
        )


def started(sweep_dir: Path) -> dict[str, Any]:
    """Returns what was noted when the sweep began; nothing if it has not, or if that is damaged."""
    try:
        found = json.loads((sweep_dir / STARTED).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
