"""How far a run has come, as a file in its directory."""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from digits.config.errors import explain
from digits.text import first_line
from digits.errors import DigitsError
from digits.files import write_atomically
from digits.runs import FAILED, FINISHED, PRUNED, RUNNING, STOPPED, is_first_process, read_status
from digits.search.trial import Pruned
from digits.training.signals import Terminated, wait_for_end

FILE = "status.json"
INTERRUPTED, TERMINATED = "interrupted", "terminated"

_log = logging.getLogger(__name__)


@contextmanager
def recorded(run_dir: Path, config: Any) -> Iterator[None]:
    """Writes status.json: "running", and at the end "finished", "failed", "pruned" or "stopped".

    A run that is still "running" though no process holds its lock was killed.

    Args:
        run_dir: the run directory.
        config: the run's configuration, as plain values; kept for whoever goes on with the run.
    """
    if not is_first_process():
        try:
            yield
        except Exception:
            wait_for_end()
            raise
        return
    status = {"status": RUNNING, "reason": "", "started": time.time(), "config": config}
    if lengthened := _lengthened(run_dir, config):
        status["lengthened"] = lengthened
    _write(run_dir, status)
    try:
        yield
    except Pruned as pruned:
        _write(run_dir, status | {"status": PRUNED, "reason": str(pruned)})
        raise
    except BaseException as error:
        stopped = why(error) in (INTERRUPTED, TERMINATED)
        _log.info("the run did not come to its end", exc_info=error)
        _write(run_dir, status | {"status": STOPPED if stopped else FAILED, "reason": why(error)})
        if type(error) is SystemExit and not stopped:
            # Hydra's launcher would drop a sweep's other jobs in silence.
            raise DigitsError(f"{run_dir}: {why(error)}") from error
        raise
    _write(run_dir, status | {"status": FINISHED})


def _lengthened(run_dir: Path, config: Any) -> list[int]:
    """Returns the epochs that the run was planned for before, each time it was gone on with.

    A learning rate that falls along another schedule makes it another training.
    """
    old = read_status(run_dir)
    planned: list[int] = old.get("lengthened", [])
    before = (old.get("config") or {}).get("trainer", {}).get("max_epochs")
    if before != config["trainer"]["max_epochs"] and (run_dir / "checkpoints").exists():
        planned = [*planned, before]
    return planned


def why(error: BaseException) -> str:
    """Returns one line: what a user can mend, or else the error's kind and message."""
    if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, Terminated):
        return TERMINATED
    if isinstance(error, SystemExit):
        return f"the code of the run ended the process with exit code {error.code}"
    return explain(error) or f"{type(error).__name__}: {first_line(error)}"


def _write(run_dir: Path, status: Mapping[str, Any]) -> None:
    write_atomically(run_dir / FILE, (json.dumps(status, indent=1) + "\n").encode())
