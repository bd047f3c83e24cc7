"""The kinds of files that a model is exported to, and the packages that each needs."""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from digits.errors import DigitsError

if TYPE_CHECKING:
    from torch import Tensor

    from digits.artifact import TrainedClassifier


class Writer(Protocol):
    """What the module of a format holds."""

    def encode(self, model: "TrainedClassifier", pixels: str) -> bytes:
        """Returns the file's content, for "floats" in [0, 1] or for "bytes"."""

    def open_file(self, path: Path) -> "Callable[[Tensor], Tensor]":
        """Loads a file by its own runtime: a function from images to logits."""


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        name: the word on the command line.
        file: the name in the run directory.
        runtime: what loads it, in words.
        packages: what has to be installed besides torch.
        takes_both: whether one file takes floats as well as bytes.
    """

    name: str
    file: str
    runtime: str
    packages: tuple[str, ...] = ()
    takes_both: bool = False

    def check_packages(self) -> None:
        """Looks for the packages, without importing them.

        Raises:
            DigitsError: some are not installed; they are named.
        """
        missing = [name for name in self.packages if not importlib.util.find_spec(name)]
        if missing:
            needed = " and ".join(filter(None, (", ".join(self.packages[:-1]), self.packages[-1])))
            raise DigitsError(
                f"digits export --to {self.name} needs {needed}; not installed: "
                f"{', '.join(missing)}; try pip install {' '.join(missing)}"
            )

    def kinds(self, pixels: str) -> tuple[str, ...]:
        """Returns the kinds of pixels that a file takes which is to take "floats" or "bytes"."""
        return ("floats", "bytes") if self.takes_both else (pixels,)

    def writer(self) -> Writer:
        """Imports the module that writes and opens such files."""
        module = importlib.import_module(f"digits.exporting.to_{self.name.replace('-', '_')}")
        return cast(Writer, module)


INPUTS = {"floats": "float32 in [0, 1]", "bytes": "uint8 from 0 to 255"}
"""The kinds of pixels."""

FORMATS = {
    each.name: each
    for each in (
        Format("onnx", "model.onnx", "onnxruntime", ("onnx", "onnxruntime", "onnxscript")),
        Format("torch-export", "model.pt2", "torch.export"),
        Format("safetensors", "model.safetensors", "safetensors", ("safetensors",), True),
    )
}
