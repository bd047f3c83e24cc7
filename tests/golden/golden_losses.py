"""The losses of each experiment's first optimizer steps, and the files that they are kept in.

They are to be the same on every machine. Weights, order of the images, augmentation and noise are:
torch's CPU generator gives the same numbers for the same seed everywhere. Two things are not:

- Sums are rounded in an order that depends on the processor and the release of torch. In float32
  a convolutional network with batch normalization makes 1e-2 of that within a few steps (AVX-512
  against AVX2); so all is computed in float64. Images, noise and first weights are still made in
  float32.
- Dropout's masks are drawn by MKL, by another generator, on Intel's processors only (torch's
  DistributionKernels.cpp, bernoulli_scalar_kernel); so they are drawn by torch.rand here.
"""

import json
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, open_dict
from pytorch_lightning import seed_everything
from pytorch_lightning.loggers.logger import DummyLogger
from torch import Tensor

from digits.config.resolvers import register_resolvers
from digits.files import write_atomically
from digits.training.build import make_datamodule, make_model, make_trainer
from digits.training.console import quieten_lightning

FOLDER = Path(__file__).parent
CONF = FOLDER.parents[1] / "conf"
NUM_STEPS = 6
"""With the whole schedule. (Of 5, a warm-up of 0.2 is 1 step: OneCycleLR would divide by 0.)"""
MAX_BATCH_SIZE = 64
SEED = 0

FIXED = (
    *("data=sample", "trainer=cpu", "logger=none", f"seed={SEED}"),
    *("++trainer.precision=64-true", "++model.compile=false"),
    *(f"++trainer.max_steps={NUM_STEPS}", "++trainer.limit_val_batches=0"),
)
"""What is the same for all experiments; the rest is as their files say."""


class StepLosses(DummyLogger):
    """Keep what the training logs as the loss of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []

    def log_metrics(self, metrics: Any, *_: Any, **__: Any) -> None:
        if "train/loss_step" in metrics:
            self.losses.append(float(metrics["train/loss_step"]))


def experiments() -> list[str]:
    """Return the names of all experiment files."""
    return sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


def file_of(experiment: str) -> Path:
    """Return where an experiment's losses are kept."""
    return FOLDER / f"{experiment}.json"


def compute(experiment: str, *overrides: str) -> list[float]:
    """Return the first steps' losses of `train.py experiment=... data=sample`, on one thread."""
    torch.set_num_threads(1)
    quieten_lightning()
    config = _composed(experiment, overrides)
    logger = StepLosses()
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(F, "dropout", dropout_by_rand):
        seed_everything(SEED, verbose=False)
        model, datamodule = make_model(config, SEED), make_datamodule(config, SEED)
        trainer = make_trainer(config, Path(folder), [])
        trainer.loggers = [logger]
        model.train_on_stacks(datamodule, 1)  # so that each step's loss is logged by itself
        trainer.fit(model, datamodule)
    assert trainer.global_step == NUM_STEPS
    return logger.losses


def write(experiment: str) -> Path:
    """Compute an experiment's losses and keep them."""
    content = {"experiment": experiment, "torch": release(), "losses": compute(experiment)}
    write_atomically(file_of(experiment), (json.dumps(content, indent=1) + "\n").encode())
    return file_of(experiment)


def release() -> str:
    """Return the release of torch, without what it was built for."""
    return str(torch.__version__).partition("+")[0]


def dropout_by_rand(
    values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    return values * (torch.rand(values.shape) >= p) / (1 - p) if training else values


def _composed(experiment: str, overrides: tuple[str, ...]) -> DictConfig:
    register_resolvers()
    chosen = [f"experiment={experiment}", f"name={experiment}", *FIXED, *overrides]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        batch_size = min(compose("config", chosen).data.batch_size, MAX_BATCH_SIZE)
        config = compose("config", [*chosen, f"data.batch_size={batch_size}"])
    with open_dict(config):
        config.callbacks = {}  # they write checkpoints, and change no loss
        config.trainer.enable_progress_bar = False
    return config
