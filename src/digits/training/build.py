"""From the composed configuration to the three objects of a training: data, model and trainer."""

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.profilers import AdvancedProfiler, PyTorchProfiler, SimpleProfiler

from digits.data.datamodule import MNISTDataModule
from digits.errors import DigitsError
from digits.models import Classifier
from digits.models.augmentation import Augmentation
from digits.training.checkpoints import AtomicCheckpointIO
from digits.training.try_network import try_network

STEPPING = ("accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm")
"""Options of Lightning's Trainer that are the model's here: Lightning takes them in automatic
optimization only."""

PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}


def make_model(config: DictConfig, seed: int) -> Classifier:
    """Makes the network with freshly drawn weights, its optimizer and its schedule.

    Raises:
        DigitsError: the network is none of this project, or cannot be compiled here.
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
    try_network(model)
    return model


def make_datamodule(config: DictConfig, seed: int, trainer: Trainer) -> MNISTDataModule:
    """Makes the data module; nothing is read yet."""
    options = {"mean": config.norm.mean, "std": config.norm.std, "seed": seed}
    augmentation: Augmentation = instantiate(config.augment)
    # As an argument of `instantiate`, a dataclass would become a configuration.
    make = instantiate(config.data, **options, _convert_="all", _partial_=True)
    datamodule: MNISTDataModule = make(
        augment=None if augmentation.changes_nothing else augmentation
    )
    return datamodule


def _devices(devices: Any, accelerator: str) -> Any:
    """Returns the GPU for this job of a sweep: one after the other, where there are several."""
    num_gpus = torch.cuda.device_count()
    on_one = devices == 1 and accelerator in ("auto", "gpu", "cuda")
    is_job = HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN
    return [HydraConfig.get().job.num % num_gpus] if is_job and on_one and num_gpus > 1 else devices


def make_trainer(
    config: DictConfig, run_dir: Path, callbacks: list[Callback], resumed_at_step: int = 0
) -> Trainer:
    """Makes Lightning's Trainer, with all that writes into the run directory.

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
    options["devices"] = _devices(options["devices"], options["accelerator"])
    if options.get("profiler") in PROFILERS:  # a name by itself would write to the log
        profiler = PROFILERS[options["profiler"]]
        options["profiler"] = profiler(dirpath=run_dir, filename="profile")
    configured = []
    for callback in config.callbacks.values():
        places = {"dirpath": run_dir / "checkpoints"} if "dirpath" in callback else {}
        configured.append(instantiate(callback, **places, _convert_="all"))
    logger = config.logger._target_ and instantiate(
        config.logger, run_dir=str(run_dir), resumed_at_step=resumed_at_step, _convert_="all"
    )
    plugins: list[Any] = [AtomicCheckpointIO()]
    if SLURMEnvironment.detect():
        plugins.append(SLURMEnvironment(auto_requeue=False))  # SafeStop does it, between two steps
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
    trainer: Trainer = instantiate(defaults | options, _convert_="object")
    # Lightning's handler of SIGTERM exchanges tensors amid whatever the processes are exchanging.
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer
