"""Whole runs in this process or one of their own, as `train.py` composes them."""

import contextlib
import io
import logging
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from pytorch_lightning import Callback, Trainer
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

from digits.config.resolvers import register_resolvers
from digits.training.run import run

REPO = Path(__file__).parents[1]

SMALL = (
    *("model=baseline", "optim=adam", "schedule=constant", "norm=half", "trainer=cpu"),
    *("data=sample", "data.train_size=640", "model.hidden=[16]"),
)
"""Ten minibatches of 64 images in an epoch."""
WAITING = "waiting"
"""A file in the working directory."""


def train(run_dir: Path, *overrides: str, quiet: bool = False) -> dict[str, Any]:
    """Run what `python train.py OVERRIDES` would, into `run_dir`; return its metrics."""
    # On a busy machine two threads wait for each other, up to 10 ms an operation.
    torch.set_num_threads(1)
    register_resolvers()
    given = [f"name={run_dir.name}", *overrides]
    with initialize_config_dir(str(REPO / "conf"), version_base="1.3"):
        composed = compose("config", given, return_hydra_config=True)
    own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    hydra = run_dir / ".hydra"
    hydra.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.masked_copy(composed, "hydra"), hydra / "hydra.yaml")
    OmegaConf.save(own, hydra / "config.yaml")
    OmegaConf.save(OmegaConf.create(given), hydra / "overrides.yaml")
    return run(own, run_dir, quiet=quiet)


class Ended(NamedTuple):
    """How a command ended: its exit code, and what it wrote."""

    code: object
    stdout: str
    stderr: str


def train_here(folder: Path, *arguments: str) -> Ended:
    """Run `python train.py ARGUMENTS` in a folder, in this process, and put Hydra back."""
    stdout, stderr = io.StringIO(), io.StringIO()
    loggers = (logging.root, logging.getLogger("hydra"))
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    with (
        contextlib.chdir(folder),
        patch.dict(os.environ),
        patch.object(sys, "argv", [str(REPO / "train.py"), *arguments]),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
            code: object = 0
        except SystemExit as stopped:
            code = stopped.code or 0
        finally:
            GlobalHydra.instance().clear()
            HydraConfig.instance().cfg = None
            for logger, level, handlers in before:
                for handler in set(logger.handlers) - set(handlers):
                    handler.close()
                logger.setLevel(level)
                logger.handlers[:] = handlers
    return Ended(code, stdout.getvalue(), stderr.getvalue())


def start_train_py(*arguments: str, cwd: Path, **variables: str) -> subprocess.Popen[str]:
    """Start `python train.py` in a process of its own, in the folder `cwd`."""
    environment = os.environ | {"PYTHONPATH": str(REPO / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(REPO / "train.py"), *arguments],
        cwd=cwd,
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def train_py(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `python train.py` in a process of its own, in the folder `cwd`."""
    with start_train_py(*arguments, cwd=cwd, **variables) as process:
        stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def kill_train_py(until: str, *arguments: str, cwd: Path) -> None:
    """Start `python train.py`, and kill it as soon as a file is there."""
    with start_train_py(*arguments, cwd=cwd) as process:
        while not any(cwd.glob(until)) and process.poll() is None:
            time.sleep(0.01)
        process.kill()


class PowerCutError(RuntimeError):
    """A power cut."""


class PowerCut(Callback):
    """Fails after so many of Lightning's batches, in all epochs of this start."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def on_train_batch_start(self, *_: Any) -> None:
        if self.left == 0:
            raise PowerCutError
        self.left -= 1


def cut(batches: int) -> str:
    """Return the override with which a run fails after so many of Lightning's batches."""
    return f"+callbacks.cut={{_target_: support.PowerCut, batches: {batches}}}"


class WaitInThirdEpoch(Callback):
    """Waits for a signal, if the file of that name is there, which it deletes."""

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.current_epoch == 2 and Path(WAITING).exists():
            Path(WAITING).unlink()
            time.sleep(600)


def events(run_dir: Path) -> EventAccumulator:
    """Return everything in a run's event files, as TensorBoard reads it."""
    accumulator = EventAccumulator(
        str(run_dir), size_guidance={"scalars": 0, "tensors": 0, "histograms": 0}
    )
    accumulator.Reload()
    return accumulator


def steps(run_dir: Path, tag: str) -> list[int]:
    """Return the x axis of a curve."""
    return [event.step for event in events(run_dir).Scalars(tag)]
