"""A model as a graph of tensor operations, which files for other runtimes are written from."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from digits.artifact import TrainedClassifier
from digits.errors import DigitsError

DTYPES = {"floats": torch.float32, "bytes": torch.uint8}


class _OnePixelType(nn.Module):
    """A model that takes pixels of one type, as a graph has to."""

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.dtype = model, dtype

    def forward(self, images: Tensor) -> Tensor:
        # torch.export makes a check of this cast: model.pt2 refuses pixels of another type, which
        # it would take for 255 times as dark or as bright otherwise.
        logits: Tensor = self.model(images.to(self.dtype))
        return logits


def capture(model: TrainedClassifier, pixels: str) -> ExportedProgram:
    """Follows the model, normalization included, for a batch of any size.

    Args:
        model: the model, in `eval()` mode.
        pixels: "floats" in [0, 1] or "bytes", what the graph's input `images` takes.

    Raises:
        DigitsError: the network does something that torch.export cannot follow.
    """
    dtype = DTYPES[pixels]
    example = torch.zeros(2, 1, 28, 28, dtype=dtype)  # with 1, the batch's size would be taken as 1
    try:
        with quiet():
            program = torch.export.export(
                _OnePixelType(model, dtype),
                (example,),
                dynamic_shapes={"images": {0: Dim("batch")}},
            )
    except Exception as error:  # whatever the network's own code stumbles over
        raise DigitsError(
            f"torch.export cannot follow the network {model.record['model']}: {reason(error)}; "
            "its forward must be made of tensor operations that are the same for all images and "
            "for any number of them"
        ) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # where on this machine the code lies is nobody's matter
    return program


@contextmanager
def quiet() -> Iterator[None]:
    """Silences torch's exporters.

    They warn of their own inner matters, and print whole graphs before they raise an error. What
    they make is compared with the original anyway.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def reason(error: BaseException) -> str:
    """Returns the first line of the error at the bottom of it all; torch writes many."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = (str(error).strip().splitlines() or [""])[0].partition(" For more information")[0]
    return f"{type(error).__name__}: {line}".rstrip(".: ")
