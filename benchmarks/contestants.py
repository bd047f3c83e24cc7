"""The ways of training the same network that the benchmark compares."""

import io
import logging
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, LightningModule, Trainer
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from digits.data.datamodule import MNISTDataModule
from digits.data.split import normalize
from digits.models.networks import MLP
from digits.training.build import make_datamodule, make_model, make_trainer, num_threads
from digits.training.callbacks import History, TrainingProgress
from digits.training.tensorboard import TensorBoardPictures

CONF = Path(__file__).parents[1] / "conf"
Turn = Callable[[], Any]

warnings.filterwarnings("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Setting:
    """One network and batch size."""

    overrides: list[str]
    hidden: tuple[int, ...]
    dropout_rate: float
    batch_size: int

    @property
    def description(self) -> str:
        """What is trained, in words."""
        widths = "-".join(map(str, (784, *self.hidden, 10)))
        rate = f", dropout {self.dropout_rate}" if self.dropout_rate else ""
        return f"{widths}{rate}, batch {self.batch_size}, fused Adam"

    def network(self) -> nn.Module:
        """The network, with the same first weights for everyone."""
        torch.manual_seed(0)
        return MLP(self.hidden, self.dropout_rate)

    def optimizer(self, parameters: Any, fused: bool = True) -> torch.optim.Optimizer:
        """The optimizer of a default run."""
        return torch.optim.Adam(parameters, lr=1e-3, fused=fused)


SETTINGS = {
    "baseline": Setting(["model=baseline", "data.batch_size=64"], (128, 64), 0.0, 64),
    "dropout": Setting(["model=dropout", "data.batch_size=128"], (512, 256), 0.2, 128),
}


def _training_images() -> tuple[Tensor, Tensor]:
    data = MNISTDataModule(composed([]).data.dir)
    data.setup("fit")
    assert data.train is not None
    return data.train.images[data.train_indices], data.train.labels[data.train_indices]


def _training_tensors() -> tuple[Tensor, Tensor]:
    images, labels = _training_images()
    return normalize(images, 0.5, 0.5), labels


def composed(overrides: list[str]) -> DictConfig:
    """The configuration of a command line."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [*overrides, "name=benchmark"])


def bare_loop(setting: Setting, num_epochs: int, turn: Turn, fused: bool = True) -> None:
    """The loop that one would write by hand, over normalized float images in memory."""
    images, labels = _training_tensors()
    network = setting.network()
    optimizer = setting.optimizer(network.parameters(), fused)
    for _ in range(num_epochs):
        turn()
        for indices in torch.split(torch.randperm(len(images)), setting.batch_size):
            loss = F.cross_entropy(network(images[indices]), labels[indices])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()


class _TakeTurns(Callback):
    def __init__(self, turn: Turn) -> None:
        self.turn = turn

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.turn()


def digits(setting: Setting, num_epochs: int, turn: Turn) -> None:
    """This project, with everything on that a default run has."""
    config = composed([*setting.overrides, f"trainer.max_epochs={num_epochs}"])
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder)
        screen = Console(file=io.StringIO(), force_terminal=True)
        pictures = TensorBoardPictures(OmegaConf.to_yaml(config, resolve=False))
        history = History(run_dir)
        callbacks = [_TakeTurns(turn), history, pictures, TrainingProgress(screen, history)]
        trainer = make_trainer(config, run_dir, callbacks)
        torch.manual_seed(0)
        model, datamodule = make_model(config, 0), make_datamodule(config, 0)
        model.train_on_stacks(datamodule)
        torch.set_num_threads(num_threads(config, model))
        trainer.fit(model, datamodule)


class _Automatic(LightningModule):
    """What Lightning's tutorials write."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.setting, self.network = setting, setting.network()

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        loss = F.cross_entropy(self.network(images), labels)
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.setting.optimizer(self.parameters())


def _lightning(setting: Setting, num_epochs: int, turn: Turn, loader: DataLoader[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=num_epochs,
            callbacks=[_TakeTurns(turn)],
            default_root_dir=folder,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(_Automatic(setting), loader)


class _Resident(TensorDataset):
    def __getitems__(self, indices: list[int]) -> list[Tensor]:
        return [tensor[indices] for tensor in self.tensors]


def lightning_resident(setting: Setting, num_epochs: int, turn: Turn) -> None:
    """Lightning's automatic optimization, with whole minibatches of tensors in memory."""
    _lightning(setting, num_epochs, turn, resident_loader(setting))


def lightning_torchvision(setting: Setting, num_epochs: int, turn: Turn, num_workers: int) -> None:
    """Lightning with torchvision's dataset, transforms of single images, and a DataLoader."""
    _lightning(setting, num_epochs, turn, torchvision_loader(setting, num_workers))


def torchvision_loader(setting: Setting, num_workers: int) -> DataLoader[Any]:
    """The loader of torchvision's own examples, on our 55,000 images for training."""
    from torchvision.datasets import MNIST
    from torchvision.transforms import Compose, Normalize, ToTensor

    images, labels = _training_images()
    dataset = MNIST.__new__(MNIST)
    dataset.data, dataset.targets = images.squeeze(1), labels
    dataset.transform = Compose([ToTensor(), Normalize((0.5,), (0.5,))])
    dataset.target_transform = None
    return DataLoader(dataset, setting.batch_size, shuffle=True, num_workers=num_workers)


def resident_loader(setting: Setting) -> DataLoader[Any]:
    """Whole minibatches of normalized float tensors in memory."""
    dataset = _Resident(*_training_tensors())
    return DataLoader(dataset, setting.batch_size, shuffle=True, collate_fn=lambda batch: batch)


CONTESTANTS: dict[str, Callable[..., None]] = {
    **{f"bare loop, threads: {number}": bare_loop for number in (1, os.cpu_count())},
    "bare loop, Adam not fused": partial(bare_loop, fused=False),
    "digits": digits,
    "Lightning, automatic, in memory": lightning_resident,
    "Lightning + torchvision, 0 workers": partial(lightning_torchvision, num_workers=0),
    "Lightning + torchvision, 2 workers": partial(lightning_torchvision, num_workers=2),
}
SLOW = [name for name in CONTESTANTS if "torchvision" in name]
