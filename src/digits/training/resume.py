"""Resuming a run: from which checkpoint, and with which options.

Imports neither torch nor Lightning: the check before a run asks here.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from digits.errors import DigitsError
from digits.files import flat, relative
from digits.run_directory import (
    BEST,
    FORMER_DEFAULTS,
    LAST,
    Run,
    check_place,
    finished_metrics,
    read_status,
)
from digits.text import typed

LENGTH = re.compile(r"trainer\.max_(epochs|steps|time)(\.\w+)?|callbacks\.\w+\.patience")
"""Options that say how long to train, which a run may be resumed with other values of."""


def resume_point(run_dir: Path, resume: str) -> Path | None:
    """Return the checkpoint that a run is resumed from, or `None` for a new start.

    Raises:
        DigitsError: "must" without a checkpoint, or "never" with one.
    """
    last = run_dir / LAST
    if resume == "must" and not last.exists():
        raise DigitsError(
            f"resume=must, but {relative(last)} does not exist; "
            "try name=RUN with the run to resume, or resume=auto"
        )
    if resume == "never" and (last.exists() or finished_metrics(run_dir)):
        raise DigitsError(
            f"resume=never, but {relative(run_dir)} holds a run already; "
            "try another name=RUN, or resume=auto"
        )
    return last if last.exists() else None


def check_resumable(run_dir: Path, config: DictConfig) -> Path | None:
    """Refuse to resume a run with other options than it was started with, or with fewer epochs.

    A finished run is kept, too, if its checkpoints were deleted, and so are other people's files.

    Returns:
        The checkpoint that the run is resumed from; `None` for a new start.
    """
    place = relative(run_dir)
    try:
        # Not from .hydra/config.yaml, which Hydra overwrites when a run begins.
        recorded = read_status(run_dir).get("config")
    except DigitsError as error:
        raise DigitsError(f"{place}: {error}; try another name=RUN") from None
    check_place(run_dir)
    last = resume_point(run_dir, config.resume)
    if not recorded or not (last or finished_metrics(run_dir)):
        return last
    given: Any = OmegaConf.to_container(config, resolve=True)
    before = _length(recorded)
    for key, value in _length(given).items():
        old = before.get(key)
        if not (isinstance(value, int) and isinstance(old, int)):
            continue
        if value >= 0 and (value < old or old < 0):  # -1 is without end
            raise DigitsError(
                f"{key}={value}, but {place} holds a run with {old}, which may only grow; "
                f"try {key}={old}, or another name=RUN"
            )
    check_same(f"{place} holds a run", _options(recorded), _options(given))
    # A run that was cut within its first epoch has the best checkpoint only, and starts over.
    if not last and not (run_dir / BEST).exists() and not finished_run(run_dir, config):
        raise DigitsError(
            f"{place} is finished and has no {LAST} to be resumed from; try another name=RUN"
        )
    return last


def finished_run(run_dir: Path, config: DictConfig) -> dict[str, Any] | None:
    """Return metrics.json if a run is finished and nothing in `config` asks for more."""
    metrics = finished_metrics(run_dir)
    if not metrics or (is_tested(config) and metrics["test/accuracy"] is None):
        return None
    recorded = read_status(run_dir).get("config") or {}
    given = OmegaConf.to_container(config, resolve=True)
    return metrics if _length(recorded) == _length(given) else None


def is_tested(config: DictConfig) -> bool:
    """Return whether a run looks at the test images; a fold of cross-validation never does."""
    return bool(config.test) and config.data.get("folds") is None


def _length(config: Any) -> dict[str, Any]:
    return {key: value for key, value in flat(config) if LENGTH.fullmatch(key)}


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options, by dotted keys, that an epoch which was trained depends on."""
    options = Run(Path(), config=config).options | {"seed": config["seed"]}
    options["data.fold"] = config["data"].get("fold")
    own = [  # the user's own callbacks may come and go
        key.removesuffix("_target_")
        for key, target in flat(config)
        if key.startswith("callbacks.")
        and key.endswith("._target_")
        and not str(target).startswith(("digits.", "pytorch_lightning."))
    ]
    return {
        key: value
        for key, value in options.items()
        if not key.startswith(tuple(own)) and not LENGTH.fullmatch(key)
    }


def check_same(place: str, recorded: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse to resume what was begun with other options, and name the first ones that differ.

    `place` says what is resumed, e.g. "outputs/runs/a holds a run"; options are by dotted keys.
    """
    keys = sorted(recorded.keys() | given.keys())
    differing = [key for key in keys if recorded.get(key) != given.get(key)]
    if differing:
        old, new = (
            ", ".join(
                f"{key}={typed(options.get(key, FORMER_DEFAULTS.get(key)))}"
                for key in differing[:3]
            )
            for options in (recorded, given)
        )
        more = f" (and {len(differing) - 3} more)" if len(differing) > 3 else ""
        raise DigitsError(
            f"{place} with {old}{more}, and cannot be resumed with {new}; "
            "try the same options again, or another name"
        )
