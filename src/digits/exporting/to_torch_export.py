"""model.pt2: the graph in torch's own format, which needs torch and nothing else."""

import io
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from digits.artifact import TrainedClassifier
from digits.exporting.capture import capture, quiet
from digits.exporting.record import KEY, as_json


def encode(model: TrainedClassifier, pixels: str) -> bytes:
    """Returns the content of model.pt2; its extra file `digits` is the model's record.

    Raises:
        DigitsError: torch.export cannot follow the network.
    """
    program = capture(model, pixels)
    file = io.BytesIO()
    with quiet():
        torch.export.save(program, file, extra_files={KEY: as_json(model, [pixels], default=repr)})
    return file.getvalue()


def open_file(path: Path) -> Callable[[Tensor], Tensor]:
    """Loads a model.pt2."""
    with quiet():
        return torch.export.load(path).module()
