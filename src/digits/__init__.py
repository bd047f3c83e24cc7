"""Experiments with handwritten digits, on PyTorch Lightning, Hydra and TensorBoard.

Functions are resolved lazily, since what they need takes a second to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from digits.errors import DigitsError
from digits.process import sleep_soon

if TYPE_CHECKING:
    from digits.app import compose, runs, train
    from digits.model_file import load

__version__ = "0.1.0"
__all__ = ["DigitsError", "compose", "load", "runs", "train"]

sleep_soon()  # in a notebook, too, which may import torch next


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module("digits.model_file" if name == "load" else "digits.app")
    return getattr(home, name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
