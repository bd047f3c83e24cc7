"""Errors in one line."""

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from hydra.errors import HydraException, InstantiationException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from digits.config.flags import read_flags
from digits.config.hydra_part import check_first
from digits.config.launchers import missing_extra
from digits.config.mistakes import CONFIG_NAME, find_mistake
from digits.config.overrides import WrongJob
from digits.config.unreadable import unreadable_file
from digits.errors import DigitsError
from digits.runs import is_first_process
from digits.training.processes import OF_SWEEP
from digits.training.signals import INTERRUPTED, TERMINATED, listen
from digits.errors import Terminated

OUTSIDE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG)
"""Faults of a disk and its rights, which are not ours."""


@contextmanager
def one_line_errors(config_dir: Path) -> Iterator[None]:
    """Ends the process with one line on stderr for what a user can mend.

    A fault of ours keeps its traceback.

    Args:
        config_dir: the folder with config.yaml and the config groups, whose names are suggested.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its exceptions on instead of printing them
    check_first()
    try:
        listen()
        read_flags(config_dir)
        yield
    except KeyboardInterrupt:
        _stop(INTERRUPTED)
    except Terminated:
        _stop(TERMINATED)
    except (Exception, SystemExit) as stopped:
        if isinstance(stopped.__context__, KeyboardInterrupt):
            _stop(INTERRUPTED)
        # What the check before a run finds can leave Hydra only as the cause of a SystemExit.
        if failed := _failed_jobs():
            print("\n".join(failed), file=sys.stderr)
            sys.exit(1)
        error = stopped.__cause__ if isinstance(stopped, SystemExit) else stopped
        if error is None:
            raise
        line = missing_extra(str(error)) or unreadable_file(error, config_dir)
        if line is None:
            line = explain(error)
            if line is None:
                raise error from error.__cause__
            if not isinstance(error, DigitsError):
                line = _mistake(error, config_dir) or line
        print(f"error: {line}", file=sys.stderr)
        sys.exit(1)


def _failed_jobs() -> list[str]:
    """Returns what is to be said of a sweep that has begun and in which jobs failed."""
    follow = sys.modules.get("digits.sweeps.follow")
    found: list[str] = follow.failed_jobs() if follow else []
    return found


def _stop(code: int) -> NoReturn:
    if not is_first_process():  # which would be killed if another one ended by a code of its own
        sys.exit(0)
    if OF_SWEEP in os.environ:
        sys.exit(code)
    word = "interrupted" if code == INTERRUPTED else "terminated"
    follow = sys.modules.get("digits.sweeps.follow")
    sweep = follow and follow.FollowSweep.sweep_dir
    given = [each for each in sys.argv[1:] if each.startswith("name=")]
    name = f"name={sweep.name}" if sweep else next(iter(given), "the run's name=RUN")
    if follow and sweep:
        with suppress(OSError, KeyboardInterrupt):  # what matters now is to end
            follow.interrupted_sweep()
    print(f"{word}; the same command with {name} goes on", file=sys.stderr)
    sys.exit(code)


def explain(error: BaseException) -> str | None:
    """Returns one line for the user; `None` if the error is a fault of the program."""
    cause = error.__cause__
    if isinstance(error, WrongJob):
        return explain(cause) if cause else None
    if isinstance(error, InstantiationException) and cause is not None:
        called = first_line(error).removesuffix(":")
        return f"{called}: {first_line(cause)}" if _is_refusal(cause) else explain(cause)
    if isinstance(error, HydraException | OmegaConfBaseException):
        if isinstance(error, ConfigAttributeError | ConfigKeyError):
            return None  # code reads a missing key; Hydra itself would have wrapped the error
        key = getattr(error, "full_key", None)
        lines = [f"{key}: {first_line(error)}" if key else first_line(error)]
        lines += [first_line(cause)] if cause is not None else []
        return "; ".join(line.rstrip(".") for line in lines if line)
    if isinstance(error, OSError) and error.errno in OUTSIDE:
        return f"{error.filename or 'a file'} cannot be written or read ({error.strerror})"
    mendable = isinstance(error, DigitsError) or _is_misconfiguration(error)
    return first_line(error) if mendable or _raised_by(error, ("hydra.",)) else None


def first_line(error: BaseException) -> str:
    """Returns a message's first line that says something; the next too if it ends in a colon."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def _mistake(error: BaseException, config_dir: Path) -> str | None:
    flags = read_flags(config_dir)
    overrides: Sequence[str] = error.overrides if isinstance(error, WrongJob) else flags.overrides
    if flags.config_dir or flags.config_path or isinstance(error, InstantiationException):
        return None
    with suppress(HydraException, OmegaConfBaseException):  # no advice then, but what Hydra says
        name = flags.config_name or CONFIG_NAME
        return find_mistake(overrides, config_dir, name, multirun=flags.multirun)
    return None


def _is_misconfiguration(error: BaseException) -> bool:
    # By name, so that a wrong option need not wait for the import of Lightning.
    return any(cls.__name__ == "MisconfigurationException" for cls in type(error).__mro__)


def _is_refusal(cause: BaseException) -> bool:
    """Whether a class refuses its arguments: by a ValueError, or by having no such argument."""
    by_library = _raised_by(cause, ("hydra.", "pytorch_lightning.", "lightning_fabric."))
    refused = type(cause) is ValueError or (
        isinstance(cause, ValueError | TypeError) and by_library
    )
    # A layer of a user's own network that cannot be made with the values given.
    return refused or _raised_by(cause, ("torch.",))


def _raised_by(error: BaseException, packages: tuple[str, ...]) -> bool:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and str(frame.tb_frame.f_globals.get("__name__")).startswith(packages)
