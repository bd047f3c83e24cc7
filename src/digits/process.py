"""A process from its first import to its end: quick imports, patient threads, a quick end."""

import atexit
import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SPIN_COUNT = "1000"
"""Rounds that a thread of OpenMP's waits at a barrier before it sleeps; by itself it spins for
milliseconds, also for a thread that the system has taken off its core for another process."""


def wait_briefly() -> None:
    """Set how long torch's threads wait for each other, unless the user has, before its import."""
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT


def import_torch() -> None:
    """Import torch in two thirds of the time: without the garbage collector.

    It would look through the million objects that torch makes and keeps, again and again.
    """
    with _without_garbage_collector():
        import torch  # noqa: F401

        gc.freeze()


def import_lightning() -> None:
    """Import torch, Lightning and torchmetrics, in two thirds of the time as well."""
    import_torch()
    # Not frozen, too: triton would complain at the end of what was left.
    with _without_garbage_collector():
        import pytorch_lightning  # noqa: F401


@contextmanager
def _without_garbage_collector() -> Iterator[None]:
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def kept_threads() -> Iterator[None]:
    """Give back at the end how many threads torch computes with."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def quick_end() -> Iterator[None]:
    """End the process once its exit handlers, loggers and streams are done, with its exit code.

    Python would take down thousands of modules one by one, for half a second.
    """
    code = 1

    def end() -> None:
        atexit.unregister(end)
        atexit._run_exitfuncs()  # of the others; none can be registered to be the last
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # closed by the reader
                stream.flush()
        os._exit(code)

    try:
        yield
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
        atexit.register(end)
        raise
    atexit.register(end)
    code = 0
