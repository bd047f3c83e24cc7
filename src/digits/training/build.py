"""From the composed configuration to the three objects of a training: model, data and trainer."""

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.profilers import AdvancedProfiler, PyTorchProfiler, SimpleProfiler

from digits.data.datamodule import MNISTDataModule
from digits.data.datasets import NUM_CLASSES, SIDE
from digits.errors import DigitsError
from digits.models import Classifier
from digits.models.augmentation import Augmentation
from digits.text import first_line
from digits.training.callbacks import AtomicCheckpointIO

STEPPING = ("accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm")
"""Options of Lightning's Trainer that are the model's here: Lightning takes them in automatic
optimization only."""

PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}


def make_model(config: DictConfig, seed: int) -> Classifier:
    """Make the network with freshly drawn weights, its optimizer and its schedule.

    Raises:
        DigitsError: it is not a Classifier, cannot be compiled here, or does not map images to
            logits.
    """
    compiler = os.environ.get("CXX", "g++")
    if config.model.get("compile") and not torch.cuda.is_available() and not shutil.which(compiler):
        raise DigitsError(
            f"model.compile=true needs a C++ compiler, and there is no {compiler} on PATH; "
            "install it (Debian: apt install g++), or try model.compile=false"
        )
    stepping = {key: config.trainer[key] for key in STEPPING if config.trainer.get(key) is not None}
    training = {
        "optimizer": instantiate(config.optim),
        "schedule": instantiate(config.schedule),
        "seed": seed,
    }
    model = instantiate(config.model, **training, **stepping, _convert_="all")
    if not isinstance(model, Classifier):
        raise DigitsError(
            f"model._target_ must be a digits.models.Classifier, got {config.model._target_}"
        )
    _try_network(model)
    return model


def _try_network(model: Classifier) -> None:
    """Make sure that a network of the user's own maps two images to ten logits each."""
    name, shape = model.class_path, (2, 1, SIDE, SIDE)
    model.eval()
    try:
        with torch.inference_mode():
            logits = model.network(torch.zeros(shape))
    except DigitsError:
        raise
    except Exception as error:  # whatever the user's code stumbles over
        raise DigitsError(
            f"the network of {name} cannot take images of shape {shape}: "
            f"{first_line(error) or type(error).__name__}; "
            f"try nn.Flatten() first, and {SIDE * SIDE} inputs"
        ) from error
    finally:
        model.train()
    if not isinstance(logits, torch.Tensor) or logits.shape != (2, NUM_CLASSES):
        found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise DigitsError(
            f"the network of {name} makes {found} of two images, not (2, {NUM_CLASSES}); "
            f"try nn.Linear(..., {NUM_CLASSES}) last"
        )


def make_datamodule(config: DictConfig, seed: int) -> MNISTDataModule:
    """Make the data module; nothing is read yet."""
    options = {"mean": config.norm.mean, "std": config.norm.std, "seed": seed}
    augmentation: Augmentation = instantiate(config.augment)
    # As an argument of `instantiate`, a dataclass would become a configuration.
    make = instantiate(config.data, **options, _convert_="all", _partial_=True)
    datamodule: MNISTDataModule = make(
        augment=None if augmentation.changes_nothing else augmentation
    )
    return datamodule


def make_trainer(
    config: DictConfig, run_dir: Path, callbacks: list[Callback], resumed_at_step: int = 0
) -> Trainer:
    """Make Lightning's Trainer, with all that writes into the run directory.

    Args:
        config: the run's configuration.
        run_dir: the run directory.
        callbacks: called before those of the configuration.
        resumed_at_step: the optimizer step from which the run is resumed.

    Raises:
        DigitsError: `trainer.accelerator=gpu`, and there is none.
    """
    if not torch.cuda.is_available():
        # Lightning makes torch ask the GPU's driver library whether there is a GPU. Adam asks at
        # each step, and where there is none, the library is searched on the disk each time.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
        if config.trainer.accelerator in ("gpu", "cuda"):
            raise DigitsError(
                "trainer.accelerator=gpu, but torch finds no CUDA GPU; "
                "try trainer=cpu or trainer=auto"
            )
    options: dict[str, Any] = OmegaConf.to_container(config.trainer, resolve=True)  # type: ignore[assignment]
    options = {key: value for key, value in options.items() if key not in STEPPING}
    arguments: dict[str, Any] = {}  # objects, of which Hydra 1.4 takes none in a configuration
    if str(options.get("profiler")) in PROFILERS:  # a name by itself would write to the log
        profiler = PROFILERS[options.pop("profiler")]
        arguments["profiler"] = profiler(dirpath=run_dir, filename="profile")
    configured = []
    for callback in config.callbacks.values():
        places = {"dirpath": run_dir / "checkpoints"} if "dirpath" in callback else {}
        configured.append(instantiate(callback, **places, _convert_="all"))
    logger = config.logger._target_ and instantiate(
        config.logger, run_dir=str(run_dir), resumed_at_step=resumed_at_step, _convert_="all"
    )
    plugins: list[Any] = [AtomicCheckpointIO()]
    if SLURMEnvironment.detect():
        plugins.append(SLURMEnvironment(auto_requeue=False))  # submitit does it
    defaults = {
        "default_root_dir": run_dir,
        "logger": logger or False,
        "callbacks": callbacks + configured,
        "plugins": plugins,
        "log_every_n_steps": 1,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,  # the data module shares an epoch among the processes
    }
    arguments |= {key: value for key, value in defaults.items() if key not in options}
    trainer: Trainer = instantiate(options, **arguments, _convert_="object")
    return trainer
