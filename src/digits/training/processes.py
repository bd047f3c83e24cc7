"""Several processes that train one network together."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from digits.errors import DigitsError
from digits.training.signals import INTERRUPTED, TERMINATED, Terminated

OF_SWEEP = "DIGITS_JOB_OF_SWEEP"
"""An environment variable: this run is a job of a sweep, which tells of it."""


def needs_own_process(config: DictConfig) -> bool:
    """Says whether this job of a sweep starts further processes, so that it must not run in ours.

    Lightning starts them with our own command line, so that under `-m` each would start the whole
    sweep again; and it leaves its addresses in the environment, so that the next job would take
    itself for one of them.
    """
    several = str(config.trainer.get("strategy", "")).startswith("ddp")
    return HydraConfig.get().mode == RunMode.MULTIRUN and several


def run_in_own_process(run_dir: Path) -> None:
    """Runs this job of a sweep as a single run, in a process of its own, into the same directory.

    A signal to stop is handed on, and that process waited for: it writes a checkpoint first.

    Raises:
        DigitsError: that process failed; it has said why.
    """
    overrides = [line for line in HydraConfig.get().overrides.task if not line.startswith("name=")]
    places = [f"hydra.run.dir={run_dir}", f"name={run_dir.name}", "hydra.output_subdir=null"]
    command = [sys.executable, sys.argv[0], *overrides, *places]
    told: list[int] = []

    def tell(number: int, frame: FrameType | None) -> None:
        told.append(number)
        process.send_signal(number)

    numbers = (signal.SIGINT, signal.SIGTERM) if current_thread() is main_thread() else ()
    # In our process group Ctrl-C would reach it twice.
    process = subprocess.Popen(command, process_group=0, env=os.environ | {OF_SWEEP: "1"})
    before = {number: signal.signal(number, tell) for number in numbers}
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if signal.SIGINT in told or code == INTERRUPTED:
        raise KeyboardInterrupt
    if told or code == TERMINATED:
        raise Terminated(TERMINATED)
    if code:
        raise DigitsError(f"the job in {run_dir} failed with exit code {code}; see above")


def leave_together() -> None:
    """Waits until all processes of this training are done, and closes what connects them.

    A process that ends with open connections may be aborted by torch's threads, and Lightning kills
    the first process, which writes the results, as soon as it sees another one end badly.
    """
    from torch import distributed  # late: the command line is checked before torch is imported

    if distributed.is_available() and distributed.is_initialized():
        with contextlib.suppress(RuntimeError):  # one of the others has failed, and said why
            distributed.barrier()
        distributed.destroy_process_group()


def check_common_name(overrides: Sequence[str]) -> None:
    """Makes sure that processes that torchrun started mean the same run directory.

    Raises:
        DigitsError: each of them would make up a name of its own.
    """
    named = any(line.startswith(("name=", "hydra.run.dir=")) for line in overrides)
    if "TORCHELASTIC_RUN_ID" in os.environ and not named:
        raise DigitsError("processes started by torchrun need a common name; try name=my-run")
