"""The trained model as one file for later use, and its way back into memory."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from digits.data.datamodule import MNISTDataModule
from digits.data.split import normalize
from digits.files import whole_file
from digits.models.classifier import Classifier
from digits.recorded import describe, read_saved, rebuild


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
    write_model(path, describe(model, datamodule))


def write_model(path: Path, content: dict[str, Any]) -> None:
    """Writes what `digits.recorded.read_saved` reads."""
    with whole_file(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)  # by name, it would become part of the bytes


def load(path: str | Path) -> TrainedClassifier:
    """Loads a trained model.

    Args:
        path: a run directory, its model.pt, or one of its checkpoints.

    Returns:
        A module in `eval()` mode on the CPU: images (batch, 1, 28, 28), uint8 from 0 to 255 or
        floats in [0, 1], to logits (batch, 10).

    Raises:
        DigitsError: there is no such file, it is damaged or no model of digits, or the file that
            defines its network cannot be imported.
    """
    content = read_saved(Path(path))
    normalization = content["normalization"]
    record = {key: value for key, value in content.items() if key != "weights"}
    network = rebuild(Path(path), content).network
    return TrainedClassifier(network, normalization["mean"], normalization["std"], record).eval()
