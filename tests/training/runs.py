"""Whole runs in this process, as `train.py` composes them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict
from pytorch_lightning import Callback
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

from digits.training.run import run

REPO = Path(__file__).parents[2]

SMALL = (
    *("model=baseline", "optim=adam", "schedule=constant", "norm=half", "trainer=cpu"),
    *("data=sample", "data.train_size=640", "model.hidden=[16]"),
)
"""Ten minibatches of 64 images in an epoch."""


def train(run_dir: Path, *overrides: str) -> dict[str, Any]:
    """Runs what `python train.py OVERRIDES` would, into `run_dir`; returns its metrics."""
    # On a busy machine two threads wait for each other, up to 10 ms an operation.
    torch.set_num_threads(1)
    with initialize_config_dir(str(REPO / "conf"), version_base="1.3"):
        config = compose("config", [f"name={run_dir.name}", *overrides], return_hydra_config=True)
    with open_dict(config):
        config.hydra.runtime.output_dir = str(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    HydraConfig.instance().set_config(config)
    try:
        return run(OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]))
    finally:
        HydraConfig.instance().cfg = None


def train_py(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs `python train.py` in a process of its own, in the folder `cwd`."""
    environment = os.environ | {"PYTHONPATH": str(REPO / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, str(REPO / "train.py"), *arguments],
        cwd=cwd,
        env=environment | variables,
        capture_output=True,
        text=True,
    )


class PowerCutError(RuntimeError):
    """A power cut."""


class PowerCutInEpoch(Callback):
    """Fails after the first batch of an epoch, counted from 1."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.current_epoch + 1 == self.epoch:
            raise PowerCutError


class PowerCutBeforeTest(Callback):
    """Fails when the training is over and the test begins."""

    def on_test_start(self, *_: Any) -> None:
        raise PowerCutError


def events(run_dir: Path) -> EventAccumulator:
    """Everything in a run's event files, as TensorBoard reads it."""
    accumulator = EventAccumulator(
        str(run_dir), size_guidance={"scalars": 0, "tensors": 0, "histograms": 0}
    )
    accumulator.Reload()
    return accumulator


def steps(run_dir: Path, tag: str) -> list[int]:
    """The x axis of a curve."""
    return [event.step for event in events(run_dir).Scalars(tag)]
