"""status.json: how far a run has come, why it ended, and what it was made with.

Imports neither torch nor Lightning: a search asks here how its trials have ended.
"""

import logging
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from digits.config.errors import explain
from digits.config.resolvers import num_cores
from digits.errors import Pruned, Terminated
from digits.run_directory import (
    FAILED,
    FINISHED,
    LAST,
    PRUNED,
    RUNNING,
    STOPPED,
    is_first_process,
    read_status,
    write_status,
)
from digits.text import first_line

CHECKOUT = Path(__file__).parents[3]
"""The repository, unless the package is installed elsewhere."""
PACKAGES = (
    *("digits", "torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core"),
    "numpy",
)

_log = logging.getLogger(__name__)


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
    commit = git_commit()
    word, reason = FINISHED, ""
    try:
        yield
    except BaseException as error:
        word, reason = ending(error)
        # A fault may be in the user's own code, and of a trial its traceback is nowhere else.
        _log.info(f"{word}: {reason}", exc_info=error if word == FAILED else None)
        raise
    finally:
        made = {"git": commit, "versions": _versions(), "machine": this_machine()}
        write_status(run_dir, status | {"status": word, "reason": reason, "made_with": made})


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


def git_commit() -> dict[str, Any] | None:
    """Return the checkout's commit, and whether nothing has been changed or added since."""
    command = ("git", "--no-optional-locks", "-C", str(CHECKOUT), "status", "--porcelain=v2")
    lines: list[str] = []
    if (CHECKOUT / ".git").exists():
        with suppress(OSError):  # there is no git
            done = subprocess.run((*command, "--branch"), capture_output=True, text=True)
            lines = done.stdout.splitlines()
    commit = [line.split()[2] for line in lines if line.startswith("# branch.oid")]
    clean = all(line.startswith("#") for line in lines)
    return {"commit": commit[0], "clean": clean} if commit else None


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):  # digits itself, not installed
            found[package] = version(package)
    return found


@cache
def this_machine() -> dict[str, Any]:
    """Return the processor, the number of usable cores and the GPU of this machine."""
    processor = platform.processor() or platform.machine()
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text()
        processor = next(iter(re.findall(r"model name\s*: (.*)", text)), processor)
    torch: Any = sys.modules.get("torch")
    gpu = torch.cuda.get_device_name() if torch and torch.cuda.is_initialized() else None
    return {"processor": processor, "cores": num_cores(), "gpu": gpu}
