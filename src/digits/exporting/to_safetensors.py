"""model.safetensors: the weights, and in the metadata what the network is rebuilt from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from digits.artifact import TrainedClassifier
from digits.errors import DigitsError
from digits.exporting.record import KEY, as_json
from digits.recorded import rebuild


def encode(model: TrainedClassifier, pixels: str) -> bytes:
    """Returns the content of model.safetensors; the metadata's `digits` is the model's record.

    Args:
        model: the model.
        pixels: of no consequence here: what is rebuilt takes floats and bytes.

    Raises:
        DigitsError: the network was made with arguments that cannot be written as JSON.
    """
    try:
        record = as_json(model, ("floats", "bytes"))
    except TypeError as error:
        raise DigitsError(
            f"the arguments of {model.record['model']} cannot be written into model.safetensors: "
            f"{error}; give it numbers, strings, lists and dictionaries only"
        ) from error
    # The format refuses two names for one tensor (as with tied weights), so each is copied.
    weights = {
        name: weight.detach().contiguous().clone()
        for name, weight in model.network.state_dict().items()
    }
    return safetensors.torch.save(weights, metadata={"format": "pt", KEY: record})


def read(path: Path) -> dict[str, Any]:
    """Reads a model.safetensors into the dictionary that model.pt holds."""
    with safetensors.safe_open(path, framework="pt") as file:
        record: dict[str, Any] = json.loads(file.metadata()[KEY])
    return record | {"weights": safetensors.torch.load_file(path)}


def open_file(path: Path) -> Callable[[Tensor], Tensor]:
    """Rebuilds the model from a model.safetensors."""
    content = read(path)
    normalization = content["normalization"]
    network = rebuild(path, content).network
    return TrainedClassifier(network, normalization["mean"], normalization["std"], content).eval()
