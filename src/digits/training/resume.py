"""Resuming a run: from which checkpoint, with which options, and status.json meanwhile.

Imports neither torch nor Lightning: the check before a run asks here.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from digits.config.errors import explain
from digits.errors import DigitsError, Pruned, Terminated
from digits.files import flat, relative
from digits.runs import (
    FAILED,
    FINISHED,
    LAST,
    PRUNED,
    RUNNING,
    STOPPED,
    Run,
    is_first_process,
    read_history,
    read_status,
    write_status,
)
from digits.text import first_line, typed

_log = logging.getLogger(__name__)


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
    if resume == "never" and last.exists():
        raise DigitsError(
            f"resume=never, but {relative(run_dir)} holds a run already; "
            "try another name=RUN, or resume=auto"
        )
    return last if last.exists() else None


def check_resumable(run_dir: Path, config: DictConfig) -> None:
    """Refuse to resume a run with other options than it was started with, or with fewer epochs."""
    # Not in .hydra/config.yaml, which Hydra overwrites when a run begins.
    try:
        recorded = read_status(run_dir).get("config")
    except DigitsError as error:
        raise DigitsError(f"{relative(run_dir)}: {error}; try another name=RUN") from None
    if resume_point(run_dir, config.resume) is None or not recorded:
        return
    epochs = 0
    with suppress(DigitsError):  # metrics.csv is rewritten
        epochs = int(max((row["epoch"] for row in read_history(run_dir)), default=0))
    if epochs > config.trainer.max_epochs:
        raise DigitsError(
            f"trainer.max_epochs={config.trainer.max_epochs}, but {relative(run_dir)} has trained "
            f"for {epochs} epochs; try trainer.max_epochs={epochs}, or another name=RUN"
        )
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    given: Any = OmegaConf.to_container(own, resolve=True)
    check_same(f"{relative(run_dir)} holds a run", _options(recorded), _options(given))


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options, by dotted keys, that an epoch which was trained depends on."""
    options = Run(Path(), config=config).options | {"seed": config["seed"]}
    own = [  # the user's own callbacks may come and go
        key.removesuffix("_target_")
        for key, target in flat(config)
        if key.startswith("callbacks.")
        and key.endswith("._target_")
        and not str(target).startswith(("digits.", "pytorch_lightning."))
    ]
    free = ("trainer.max_epochs", *own)
    return {key: value for key, value in options.items() if not key.startswith(free)}


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
    try:
        yield
    except BaseException as error:
        _log.info("the run did not finish", exc_info=error)
        word, reason = ending(error)
        write_status(run_dir, status | {"status": word, "reason": reason})
        raise
    write_status(run_dir, status | {"status": FINISHED})


def _lengthened(run_dir: Path, config: Mapping[str, Any]) -> list[int]:
    """Return the epochs that the run was planned for before, each time that it was resumed.

    A learning rate that falls along another schedule makes it another training.
    """
    old = read_status(run_dir)
    planned: list[int] = old.get("lengthened", [])
    before = (old.get("config") or {}).get("trainer", {}).get("max_epochs")
    if before != config["trainer"]["max_epochs"] and (run_dir / LAST).exists():
        planned = [*planned, before]
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
