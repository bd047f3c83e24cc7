"""The trained model as one file for later use, and its way back into memory."""

import importlib
import platform
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from digits.atomic import whole_file
from digits.data.datamodule import MNISTDataModule
from digits.data.normalization import normalize
from digits.errors import DigitsError
from digits.models.classifier import Classifier
from digits.training.checkpoints import read_checkpoint

FORMAT = 1
CLASSES = tuple("0123456789")


class TrainedClassifier(nn.Module):
    """A trained network together with its normalization: what `digits.load` returns.

    Args:
        network: normalized images (batch, 1, 28, 28) to logits (batch, 10).
        mean: subtracted from pixels in [0, 1].
        std: what pixels are then divided by.
        record: all that model.pt says besides the weights.
    """

    def __init__(self, network: nn.Module, mean: float, std: float, record: dict[str, Any]) -> None:
        super().__init__()
        self.network, self.mean, self.std, self.record = network, mean, std, record
        self.classes: tuple[str, ...] = tuple(record["classes"])

    def forward(self, images: Tensor) -> Tensor:
        """Maps images to logits.

        Args:
            images: (batch, 1, 28, 28), uint8 from 0 to 255 or floats in [0, 1]; light ink on a dark
                ground.

        Returns:
            Logits (batch, 10); their softmax gives the probabilities of `self.classes`.
        """
        if images.is_floating_point():
            images = images.float()
        logits: Tensor = self.network(normalize(images, self.mean, self.std))
        return logits


def save_model(path: Path, model: Classifier, datamodule: MNISTDataModule) -> None:
    """Writes model.pt: a dictionary of plain values and tensors, by `torch.save`."""
    kind = type(model)
    content = {
        "format": FORMAT,
        "model": f"{kind.__module__}.{kind.__qualname__}",
        "arguments": dict(model.hparams),
        "weights": {
            name: weight.detach().cpu() for name, weight in model.network.state_dict().items()
        },
        "normalization": {"mean": datamodule.mean, "std": datamodule.std},
        "classes": list(CLASSES),
        "dataset": datamodule.dataset,
        "versions": {"torch": str(torch.__version__), "python": platform.python_version()},
    }
    with whole_file(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)  # by name, the temporary name would become part of the bytes


def load(path: str | Path) -> TrainedClassifier:
    """Loads a trained model.

    Args:
        path: a run directory, or its model.pt.

    Returns:
        A module in `eval()` mode on the CPU: images (batch, 1, 28, 28), uint8 from 0 to 255 or
        floats in [0, 1], to logits (batch, 10).

    Raises:
        DigitsError: there is no such file, it is damaged or no model of digits, or the file that
            defines its network cannot be imported.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "model.pt"
    content = read_checkpoint(path)
    if content.get("format") != FORMAT:
        raise DigitsError(
            f"{path} is no model.pt of this version of digits (format {content.get('format')})"
        )
    try:
        network = _network_class(path, content["model"])(**content["arguments"]).network
        network.load_state_dict(content["weights"])
        record = {key: value for key, value in content.items() if key != "weights"}
        normalization = content["normalization"]
        return TrainedClassifier(
            network, normalization["mean"], normalization["std"], record
        ).eval()
    except (AttributeError, KeyError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise DigitsError(
            f"{path} does not fit its network {content.get('model')}: {reason}"
        ) from error


def _network_class(path: Path, name: str) -> type[Classifier]:
    module, _, attribute = name.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise DigitsError(
            f"{path} needs the network {name}, which cannot be imported; put its file on PYTHONPATH"
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, Classifier)):
        raise DigitsError(
            f"{path} names {name} as its network, which is no digits.models.Classifier"
        )
    return kind
