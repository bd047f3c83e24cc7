"""Resuming a run: which checkpoint it goes on from, whether it may, and status.json meanwhile.

Imports neither torch nor Lightning until a checkpoint is read: the check before a run asks here.
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
    BEST,
    FAILED,
    FINISHED,
    LAST,
    NO_EFFECT,
    PRUNED,
    RUNNING,
    STOPPED,
    is_first_process,
    read_history,
    read_status,
    write_status,
)
from digits.text import first_line, typed

_log = logging.getLogger(__name__)


def resume_point(run_dir: Path, resume: str) -> Path | None:
    """Return the checkpoint that a run goes on from, or `None` for a new start.

    Args:
        run_dir: the run directory.
        resume: "auto" (the last checkpoint, if there is one), "must" or "never".

    Raises:
        DigitsError: "must", and there is no checkpoint; or "never", and there is one, which a new
            start would destroy.
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
    """Refuse to resume a run with other options than those that it was started with.

    The old ones are in status.json, since Hydra overwrites .hydra/config.yaml when a run begins.

    Args:
        run_dir: the run directory, which need not exist.
        config: the composed configuration, with or without Hydra's part.

    Raises:
        DigitsError: `resume_point` refuses, the run has more epochs than are asked for, or an
            option differs; the first ones are named.
    """
    recorded = read_status(run_dir).get("config")
    if resume_point(run_dir, config.resume) is None or not recorded:
        return
    place, epochs, max_epochs = relative(run_dir), _num_epochs(run_dir), config.trainer.max_epochs
    if epochs > max_epochs:
        raise DigitsError(
            f"trainer.max_epochs={max_epochs}, but {place} has trained for {epochs} epochs; "
            f"try trainer.max_epochs={epochs}, or another name=RUN"
        )
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    old, new = dict(flat(recorded)), dict(flat(OmegaConf.to_container(own, resolve=True)))
    free = (*NO_EFFECT, "trainer.max_epochs", *_own_callbacks(old | new))
    differing = [
        key
        for key in sorted(old.keys() | new.keys())
        if not f"{key}.".startswith(tuple(f"{name}." for name in free))
        and _value(key, old) != _value(key, new)
    ]
    if differing:
        shown, given = (
            ", ".join(f"{key}={typed(options.get(key))}" for key in differing[:3])
            for options in (old, new)
        )
        more = f" (and {len(differing) - 3} more)" if len(differing) > 3 else ""
        raise DigitsError(
            f"{place} holds a run with {shown}{more}, which cannot be resumed with {given}; "
            "try the same options again, or another name=RUN"
        )


def _num_epochs(run_dir: Path) -> int:
    with suppress(DigitsError):  # metrics.csv is written anew
        return int(max((row["epoch"] for row in read_history(run_dir)), default=0))
    return 0


def _own_callbacks(options: Mapping[str, Any]) -> list[str]:
    """Return the keys of the user's own callbacks, which may come and go."""
    return [
        key.removesuffix("._target_")
        for key, target in options.items()
        if key.startswith("callbacks.")
        and key.endswith("._target_")
        and not str(target).startswith(("digits.", "pytorch_lightning."))
    ]


def _value(key: str, options: Mapping[str, Any]) -> Any:
    """Return an option's value; of a class of digits its name, since its module may have moved."""
    value = options.get(key)
    is_ours = key.endswith("_target_") and str(value).startswith("digits.")
    return str(value).rpartition(".")[2] if is_ours else value


def read_newest(run_dir: Path) -> tuple[Path, dict[str, Any]]:
    """Read the checkpoint that a training goes on from: last.ckpt, or best.ckpt if it is damaged.

    Returns:
        The file and its content.

    Raises:
        DigitsError: neither can be used.
    """
    last, best = run_dir / LAST, run_dir / BEST
    try:
        return last, _read_training_state(last)
    except DigitsError as error:
        try:
            checkpoint = _read_training_state(best)
        except DigitsError:
            raise error from None
        _log.warning("%s; resuming from %s, after epoch %d", error, best, checkpoint["epoch"] + 1)
        return best, checkpoint


def _read_training_state(path: Path) -> dict[str, Any]:
    from digits.model_file import read_checkpoint

    checkpoint = read_checkpoint(path)
    try:
        epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
        is_whole = epochs["processed"] == epochs["started"]
    except (KeyError, TypeError):
        raise DigitsError(
            f"{relative(path)} is not a checkpoint of a training; try another name=RUN"
        ) from None
    if not is_whole:  # as last.ckpt of digits 0.1 was after Ctrl-C
        raise DigitsError(
            f"{relative(path)} was written within an epoch, as digits 0.1 did, and cannot be "
            "resumed; try another name=RUN"
        )
    return checkpoint


@contextmanager
def recorded_status(run_dir: Path, config: Mapping[str, Any]) -> Iterator[None]:
    """Write status.json: "running", and at the end "finished", "failed", "pruned" or "stopped".

    A run that is still "running" though no process holds its lock was killed.

    Args:
        run_dir: the run directory.
        config: the run's configuration, as plain values; what `check_resumable` compares with.
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
        word, reason = _ending(error)
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


def _ending(error: BaseException) -> tuple[str, str]:
    """Return the status of a run that an exception ended, and the reason in one line."""
    if isinstance(error, Pruned):
        return PRUNED, str(error)
    if isinstance(error, KeyboardInterrupt):
        return STOPPED, "interrupted"
    if isinstance(error, Terminated):
        return STOPPED, "terminated"
    if isinstance(error, SystemExit):  # submitit, which has queued the job again
        return STOPPED, f"exit code {error.code}"
    return FAILED, explain(error) or f"{type(error).__name__}: {first_line(error)}"
