"""A process from its first import to its end: quick imports, patient threads, a quick end."""

import atexit
import gc
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

SPIN_COUNT = 1000
"""Rounds that a thread of OpenMP's waits for the others before it sleeps. By itself it spins for
milliseconds, also for a thread that the system has taken off its core for another process."""

ALLOCATIONS = 100_000
"""New objects after which Python's garbage collector looks through them. By itself it does after
700: again and again through the million that torch makes at its import and keeps."""


def sleep_soon() -> None:
    """Have OpenMP's threads sleep after a short wait, if torch is yet to be imported."""
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = str(SPIN_COUNT)


def begin() -> None:
    """Prepare a process, before it imports torch; what the user has set stays."""
    sleep_soon()
    gc.set_threshold(ALLOCATIONS, 20, 50)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that is not UTF-8 cannot show ±


def import_lightning() -> None:
    """Import torch and Lightning, without the garbage collector."""
    if "pytorch_lightning" in sys.modules or not gc.isenabled():
        return
    gc.disable()
    try:
        import torch  # noqa: F401

        gc.freeze()  # not after the rest, too: triton would complain at the end of what was left
        import pytorch_lightning  # noqa: F401
    finally:
        gc.enable()


@contextmanager
def torch_threads(number: int | None = None) -> Iterator[None]:
    """Have torch compute with so many threads, and give back at the end what was set before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def restored_process() -> Iterator[None]:
    """Give back at the end what a run sets for its process: of torch, logging, the environment."""
    environment = dict(os.environ)
    import_lightning()
    import torch
    from pytorch_lightning.utilities.seed import isolate_rng

    cudnn = torch.backends.cudnn
    loggers = [logging.getLogger(each) for each in ("", "hydra", "pytorch_lightning")]
    loggers.append(logging.getLogger("lightning_fabric"))
    logged = [(each, each.level, each.propagate, each.handlers[:]) for each in loggers]
    handlers = vars(logging)["_handlerList"]  # which a new configuration of logging closes
    known, handlers[:] = handlers[:], []
    with ExitStack() as restored, torch_threads(), warnings.catch_warnings():
        restored.callback(torch.set_default_dtype, torch.get_default_dtype())
        restored.callback(
            torch.use_deterministic_algorithms,
            torch.are_deterministic_algorithms_enabled(),
            warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
        )
        for flag in ("benchmark", "deterministic"):
            restored.callback(setattr, cudnn, flag, getattr(cudnn, flag))
        drawn = isolate_rng()
        drawn.__enter__()
        restored.callback(drawn.__exit__, None, None, None)  # after an exception, too
        try:
            yield
        finally:
            for logger, level, propagate, before in logged:
                for handler in set(logger.handlers) - set(before):
                    handler.close()
                logger.handlers[:], logger.propagate = before, propagate
                logger.setLevel(level)
            handlers[:] = known
            os.environ.clear()
            os.environ.update(environment)


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
