"""Signals to stop, from a process's first lines to its last ones."""

import os
import signal
import subprocess
import threading
import time
from types import FrameType
from typing import Any, NoReturn

from digits.errors import Terminated

INTERRUPTED, TERMINATED = 130, 143
"""Exit codes after SIGINT and SIGTERM: 128 and the signal's number."""

_received: list[int] = []


def listen() -> None:
    """Makes SIGTERM and Ctrl-C exceptions, so that a run that they end can say so.

    A process that another one has started to train with it leaves both signals to that one, and
    ends with it: a terminal's Ctrl-C and a cluster's SIGTERM reach all of them, and if each stopped
    by itself the others would wait for it amid an exchange of tensors.
    """
    if is_governed():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
        return
    if "SUBMITIT_EXECUTOR" not in os.environ:  # which listens itself
        signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)  # also where a script's `&` would have it ignored


def stop_if_told() -> None:
    """Stops if a signal came before, at a moment when Python drops exceptions, as amid an import.

    Raises:
        KeyboardInterrupt: after Ctrl-C.
        Terminated: after SIGTERM.
    """
    if _received:
        _stop(_received[-1], None)


def is_governed() -> bool:
    """Says whether Lightning started this process, from the first one of this machine."""
    by_others = ("TORCHELASTIC_RUN_ID", "SLURM_PROCID")
    from_outside = any(name in os.environ for name in by_others)
    return os.environ.get("LOCAL_RANK", "0") != "0" and not from_outside


def wait_for_end() -> None:
    """Lets a governed process whose first process has just ended end too, without a word.

    What it would say is that its connection is broken.
    """
    if is_governed():
        time.sleep(2)


def end(child: subprocess.Popen[Any], patience_s: float) -> int | None:
    """Kills a process that may wait for this one amid an exchange of tensors.

    Returns:
        Its exit code, if it has ended by itself or does so within `patience_s`.
    """
    try:
        return child.wait(patience_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return None


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    _received.append(number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Terminated(TERMINATED)


def _end_with(parent: int) -> NoReturn:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)  # whatever the main thread may be waiting for
