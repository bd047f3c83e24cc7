"""From the composed configuration to the three objects of a training: model, data and trainer."""

import hashlib
import os
import pkgutil
import shutil
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import (
    BatchSizeFinder,
    Checkpoint,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ProgressBar,
    StochasticWeightAveraging,
)
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import AdvancedProfiler, PyTorchProfiler, SimpleProfiler
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from digits.config.resolvers import num_cores
from digits.config.targets import loggers, own_place, parameters
from digits.data.datamodule import MNISTDataModule
from digits.data.datasets import NUM_CLASSES, SIDE
from digits.errors import DigitsError
from digits.model_file import load, run_directory
from digits.models import Classifier
from digits.models.augmentation import Augmentation
from digits.models.networks import batch_norm_layers
from digits.text import first_line, train_command, typed
from digits.training.callbacks import AtomicCheckpointIO

STEPPING = ("accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm")
"""Options of Lightning's Trainer that are the model's here: Lightning takes them in automatic
optimization only."""
NOT_THE_TRAINERS = (*STEPPING, "enable_progress_bar", "enable_model_summary")
"""Options that Lightning's Trainer does not get; the last two are the recipe's."""

UNSUITED: dict[type[Callback], str] = {
    BatchSizeFinder: "-m data.batch_size=64,128,256",
    LearningRateFinder: "-m optim.lr=0.0003,0.001,0.003",
    StochasticWeightAveraging: "callbacks=ema",
    GradientAccumulationScheduler: "trainer.accumulate_grad_batches=2",
}
"""Callbacks that work with Lightning's automatic optimization only, and what works here."""

ONE_THREAD, MOST_THREADS = 20e6, 4
"""Multiply-adds of a minibatch for which one thread is enough, and the threads for more of them:
measured, see docs/performance.md."""

NUM_TRIED = 2
"""Images on which a new network is tried."""

PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}


def make_model(config: DictConfig, seed: int, num_classes: int = NUM_CLASSES) -> Classifier:
    """Make the network with freshly drawn weights, its optimizer and its schedule."""
    compiler = os.environ.get("CXX", "g++")
    if config.model.get("compile") and not torch.cuda.is_available() and not shutil.which(compiler):
        raise DigitsError(
            f"model.compile=true needs a C++ compiler, and there is no {compiler} on PATH; "
            "install it (Debian: apt install g++), or try model.compile=false"
        )
    stepping = {key: config.trainer[key] for key in STEPPING if config.trainer.get(key) is not None}
    schedule: Any = OmegaConf.to_container(config.schedule, resolve=True)
    training = {"optimizer": instantiate(config.optim)} | {
        f"schedule_{key}": schedule.pop(key) for key in ("interval", "monitor") if key in schedule
    }
    training["schedule"] = instantiate(schedule, _partial_=True, _convert_="all")
    if num_classes != NUM_CLASSES:  # a network of the user's own need not know of other data
        training["num_classes"] = num_classes
    model: Classifier = _call("model", config.model, **training, **stepping, seed=seed)
    model.multiply_adds = _try_network(model, num_classes)
    if model.exact_batch_norm and not batch_norm_layers(model.network):
        raise DigitsError(
            "model.exact_batch_norm=true needs batch normalization with running averages, and "
            f"{type(model).__name__} has none; leave it out"
        )
    return model


def start_from(model: Classifier, path: Path) -> None:
    """Give a network the weights of a run directory, model.pt or checkpoint to start from.

    `model.init_from` becomes the run's name and the beginning of the weights' SHA-256.

    Raises:
        DigitsError: the file cannot be loaded, or is of another network.
    """
    try:
        weights = load(path).network.state_dict()
    except DigitsError as error:
        raise DigitsError(f"init_from: {error}") from None
    try:
        model.network.load_state_dict(weights)
    except RuntimeError as error:
        _, _, told = " ".join(str(error).split()).partition(": ")
        raise DigitsError(
            f"init_from={path} is of another network: {shorten(told, 160)}; "
            "try the model, with its options, and a data set with the classes of that run"
        ) from None
    sums = hashlib.sha256()
    for weight in weights.values():
        sums.update(weight.reshape(-1).view(torch.uint8).numpy())
    model.init_from = f"{run_directory(path).name}@{sums.hexdigest()[:8]}"


def num_threads(config: DictConfig, model: Classifier) -> int:
    """Return with how many threads of the processor a training computes.

    With `threads=auto` it follows from the work in a minibatch alone, whatever else runs, and is
    capped at the machine's cores: small networks have the same rounding errors everywhere.
    """
    if config.get("threads", "auto") != "auto":
        return int(config.threads)
    work = config.data.batch_size * model.multiply_adds
    return 1 if work <= ONE_THREAD else min(num_cores(), MOST_THREADS)


def _try_network(model: Classifier, num_classes: int) -> int:
    """Return the multiply-adds of an image in the layers that have weights.

    Raises:
        DigitsError: the network does not map images to a logit for each class.
    """
    shape, expected = (NUM_TRIED, 1, SIDE, SIDE), (NUM_TRIED, num_classes)
    counts = []

    def count(layer: nn.Module, _: Any, output: Any) -> None:
        weight = getattr(layer, "weight", None)
        if isinstance(weight, Tensor) and weight.ndim > 1 and isinstance(output, Tensor):
            # Each output is a sum over one row of the weights.
            counts.append(output.numel() * weight.numel() // len(weight))

    hook = register_module_forward_hook(count)
    model.eval()
    try:
        with torch.inference_mode():
            found = tuple(model.network(torch.zeros(shape)).shape)
    except Exception as error:  # whatever the user's code stumbles over
        place = own_place(error)
        advice = ""
        if "shapes cannot be multiplied" in str(error):
            advice = "; nn.Flatten() first gives 784 inputs"
        elif "no attribute 'network'" in str(error):
            advice = "; set self.network in __init__"
        raise DigitsError(
            f"the network of {model.class_path} fails on images of shape {shape}: "
            f"{type(error).__name__}: {first_line(error)}" + (f" ({place})" if place else advice)
        ) from error
    finally:
        model.train()
        hook.remove()
    if found != expected:
        last = num_classes if num_classes == NUM_CLASSES else "self.num_classes"
        raise DigitsError(
            f"the network of {model.class_path} maps two images to {found}, not {expected}; "
            f"try nn.Linear(..., {last}) last"
        )
    return sum(counts) // NUM_TRIED


def make_datamodule(config: DictConfig, seed: int) -> MNISTDataModule:
    """Make the data module; nothing is read yet."""
    augmentation: Augmentation = instantiate(config.augment)
    datamodule: MNISTDataModule = _call(
        "data",
        config.data,
        mean=config.norm.mean,
        std=config.norm.std,
        seed=seed,
        augment=None if augmentation.changes_nothing else augmentation,
    )
    return datamodule


def make_trainer(
    config: DictConfig, run_dir: Path, callbacks: list[Callback], resumed_at_step: int = 0
) -> Trainer:
    """Make Lightning's Trainer, with all that writes into the run directory.

    `callbacks` are called before those of the configuration.
    """
    if not torch.cuda.is_available():
        # Lightning makes torch ask the GPU's driver library whether there is a GPU. Adam asks at
        # each step, and where there is none, the library is searched on the disk each time.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    every: Any = OmegaConf.to_container(config.trainer, resolve=True)
    options = {key: value for key, value in every.items() if key not in NOT_THE_TRAINERS}
    configured = [instantiate(node, _convert_="all") for node in config.callbacks.values()]
    for callback in configured:
        if remedy := UNSUITED.get(type(callback)):
            raise DigitsError(
                f"Lightning's {type(callback).__name__} needs automatic optimization, "
                f"which no network of this project uses; try {remedy}"
            )
    plugins: list[Any] = [AtomicCheckpointIO()]
    if SLURMEnvironment.detect():
        plugins.append(SLURMEnvironment(auto_requeue=False))  # submitit does it
    given: dict[str, Any] = {
        "default_root_dir": run_dir,
        "logger": make_loggers(config, run_dir, resumed_at_step) or False,
        "callbacks": callbacks + configured,
        "plugins": plugins,
        "log_every_n_steps": 1,
        "enable_model_summary": False,
        "enable_progress_bar": any(isinstance(each, ProgressBar) for each in configured),
        "enable_checkpointing": any(isinstance(each, Checkpoint) for each in configured),
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,  # the data module shares an epoch among the processes
    }
    given = {key: value for key, value in given.items() if key not in options}
    if profiler := PROFILERS.get(options.get("profiler", "")):  # by its name it writes to the log
        given["profiler"] = profiler(dirpath=run_dir, filename="profile")
    trainer: Trainer = _call("trainer", options, **given)
    _check_processes(trainer, config)
    return trainer


def make_loggers(config: DictConfig, run_dir: Path, resumed_at_step: int = 0) -> list[Logger]:
    """Make the loggers; each writes into the run directory unless it is told another place."""
    made: list[Logger] = []
    place = str(run_dir)
    known = {"run_dir": place, "save_dir": place, "resumed_at_step": resumed_at_step}
    for node in loggers(config.logger).values():
        accepted, _ = parameters(pkgutil.resolve_name(node["_target_"]))
        given = {name: known[name] for name in known.keys() & accepted if node.get(name) is None}
        made.append(instantiate(node, **given, _convert_="all"))
    return made


def _check_processes(trainer: Trainer, config: DictConfig) -> None:
    """Refuse several processes that are not started by running the script again."""
    strategy: Any = trainer.strategy
    if isinstance(strategy.launcher, _MultiProcessingLauncher):
        raise DigitsError(
            "processes that are forked or spawned, as in a notebook, do not give their results "
            "back; try trainer=ddp in a terminal, or trainer.devices=1"
        )
    if config.data.get("folds") and trainer.world_size > 1:
        raise DigitsError("a fold of cross-validation needs one process; try trainer.devices=1")
    environment, num_nodes = getattr(strategy, "cluster_environment", None), trainer.num_nodes
    is_waiting = isinstance(environment, LightningEnvironment) and "MASTER_ADDR" not in os.environ
    if num_nodes > 1 and is_waiting:
        program = train_command().replace("digits", "-m digits").removeprefix("python ")
        raise DigitsError(
            f"trainer.num_nodes={num_nodes} would wait for processes that nobody starts; on each "
            f"machine run torchrun --nnodes {num_nodes} --nproc-per-node {trainer.num_devices} "
            f"--rdzv-backend c10d --rdzv-endpoint HOST:29500 {program} with these options and "
            "a name"
        )


def _call(key: str, config: Any, **objects: Any) -> Any:
    """Call what a part of the configuration names, with objects besides its own arguments.

    As arguments of `instantiate` they would pass through OmegaConf, which turns dataclasses into
    configurations and, in some releases, refuses objects.
    """
    make = instantiate(config, _partial_=True, _convert_="all")
    try:
        return make(**objects)
    except Exception as error:  # as Hydra does
        given = ", ".join(f"{name}={typed(config[name])}" for name in config if name[0] != "_")
        raise InstantiationException(
            f"Error in call to target '{config['_target_']}({given})':\nfull_key: {key}"
        ) from error
