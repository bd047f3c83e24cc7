"""Resuming a run: from which checkpoint, with which options, and status.json meanwhile.

Imports neither torch nor Lightning: the check before a run asks here.
"""

import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from digits.config.errors import explain
from digits.errors import DigitsError, Pruned, Terminated
from digits.files import flat, relative
from digits.run_directory import (
    FAILED,
    FINISHED,
    LAST,
    PRUNED,
    RUNNING,
    STOPPED,
    Run,
    check_place,
    finished_metrics,
    is_first_process,
    read_history,
    read_status,
    write_status,
)
from digits.text import first_line, typed
from digits.training.made_with import Commit, made_with

_log = logging.getLogger(__name__)


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


def check_resumable(run_dir: Path, config: DictConfig) -> None:
    """Refuse to resume a run with other options than it was started with, or with fewer epochs.

    A finished run is kept, too, if its checkpoints were deleted, and so are other people's files.
    """
    # Not in .hydra/config.yaml, which Hydra overwrites when a run begins.
    place = relative(run_dir)
    try:
        recorded = read_status(run_dir).get("config")
    except DigitsError as error:
        raise DigitsError(f"{place}: {error}; try another name=RUN") from None
    check_place(run_dir)
    last = resume_point(run_dir, config.resume)
    is_finished = finished_metrics(run_dir) is not None
    if not recorded or not (last or is_finished):
        return
    rows: list[dict[str, float]] = []
    with suppress(DigitsError):  # metrics.csv is rewritten
        rows = read_history(run_dir)
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    given: Any = OmegaConf.to_container(own, resolve=True)
    before = _length(recorded)
    for key, value in _length(given).items():
        longer = before.get(key)
        if not (isinstance(value, int) and isinstance(longer, int)):
            continue
        if value >= 0 and (value < longer or longer < 0):  # -1 is without end
            raise DigitsError(
                f"{key}={value}, but {place} holds a run with {before[key]}, which may only grow; "
                f"try {key}={before[key]}, or another name=RUN"
            )
    check_same(f"{place} holds a run", _options(recorded), _options(given))
    # A run cut short within its first epoch has written no checkpoint, and starts over.
    is_cut = len(rows) < 2 and any(recorded["trainer"].get(f"max_{x}") for x in ("steps", "time"))
    if not last and not is_cut and not finished_run(run_dir, config):
        raise DigitsError(
            f"{place} is finished and has no {LAST} to be resumed from; try another name=RUN"
        )


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
            ", ".join(f"{key}={typed(options.get(key))}" for key in differing[:3])
            for options in (recorded, given)
        )
        more = f" (and {len(differing) - 3} more)" if len(differing) > 3 else ""
        raise DigitsError(
            f"{place} with {old}{more}, and cannot be resumed with {new}; "
            "try the same options again, or another name"
        )


@contextmanager
def recorded_status(run_dir: Path, config: Mapping[str, Any]) -> Iterator[None]:
    """Write status.json: "running", and at the end "finished", "failed", "pruned" or "stopped".

    With it goes the configuration, as plain values, with which `check_resumable` compares.
    """
    if not is_first_process():
        yield
        return
    status = {"status": RUNNING, "reason": "", "started": time.time(), "config": config}
    if lengthened := _lengthened(run_dir, config):
        status["lengthened"] = lengthened
    write_status(run_dir, status)
    commit = Commit()
    try:
        yield
    except BaseException as error:
        status["made_with"] = made_with(commit)
        _log.info("the run did not finish", exc_info=error)
        if isinstance(error, FileNotFoundError) and not run_dir.is_dir():
            raise DigitsError(
                f"{relative(run_dir)} was moved or deleted during the run; "
                "put it back and run the same command again"
            ) from error
        word, reason = ending(error)
        with suppress(OSError, DigitsError):  # the disk may be full, or the directory gone
            write_status(run_dir, status | {"status": word, "reason": reason})
        raise
    write_status(run_dir, status | {"status": FINISHED, "made_with": made_with(commit)})


def _lengthened(run_dir: Path, config: Mapping[str, Any]) -> list[int | str]:
    """Return the epochs or steps that the run was planned for before each time that it was resumed.

    A learning rate that falls along another schedule makes it another training.
    """
    old = read_status(run_dir)
    if not (run_dir / LAST).exists():  # it starts from scratch
        return []
    planned: list[int | str] = old.get("lengthened", [])
    before = (old.get("config") or {}).get("trainer", {})
    epochs, steps = before.get("max_epochs"), before.get("max_steps")
    if epochs != config["trainer"]["max_epochs"]:
        planned = [*planned, epochs]
    elif steps != config["trainer"].get("max_steps"):
        planned = [*planned, f"{steps} steps"]
    return planned


def ending(error: BaseException) -> tuple[str, str]:
    """Return the status of a run that an exception ended, and the reason in one line."""
    match error:
        case Pruned():
            return PRUNED, str(error)
        case KeyboardInterrupt():
            return STOPPED, "interrupted"
        case Terminated():
            return STOPPED, "terminated"
        case SystemExit():  # submitit, which has queued the job again
            return STOPPED, f"exit code {error.code}"
    return FAILED, explain(error) or f"{type(error).__name__}: {first_line(error)}"
