"""Stub: names that the final module has."""

import zipfile
from pathlib import Path
from typing import Any

import torch

from digits.errors import DigitsError


class DamagedError(DigitsError):
    """A file that is no checkpoint, or not a whole one."""


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Reads a file that `torch.save` wrote, if it holds plain values and tensors only.

    Raises:
        DamagedError: the file is damaged, or holds objects whose loading would run code.
        DigitsError: there is none.
    """
    refusal = DamagedError(
        f"{path} is no model.pt or checkpoint, is damaged, or holds more than plain values and "
        "tensors, whose loading could run code; try another one"
    )
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:  # torch.load does not look at the checksums
                raise refusal
        content = torch.load(path, map_location=map_location, weights_only=True)
    except FileNotFoundError:
        raise DigitsError(f"there is no file {path}") from None
    except Exception:  # torch.load raises whatever the bytes make it stumble over
        raise refusal from None
    if not isinstance(content, dict):
        raise DigitsError(
            f"{path} is no checkpoint: it holds a {type(content).__name__}, not a dictionary"
        )
    return content


def save_model(path: Path, model: Any, datamodule: Any, precision: str) -> None:
    """Write model.pt."""
    from digits.artifact import save_model as save

    save(path, model, datamodule)
