"""Checkpoints: written whole or not at all, and read without running any code in them."""

import zipfile
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from digits.atomic import whole_file
from digits.errors import DigitsError


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint files, with an atomic write and a safe read."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Writes a checkpoint; an older one of that name stays until the new one is complete."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint, file)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Reads a checkpoint of plain values, whatever `weights_only` asks for."""
        return read_checkpoint(Path(path), map_location)


class RunCheckpoint(ModelCheckpoint):
    """Lightning's, whose state moves with the run directory."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the state, with paths in the folder where the checkpoint lies now."""
        old, new = state_dict["dirpath"], str(self.dirpath)

        def moved(value: Any) -> Any:
            if isinstance(value, dict):
                return {moved(key): each for key, each in value.items()}
            return value.replace(old, new, 1) if isinstance(value, str) else value

        super().load_state_dict({key: moved(value) for key, value in state_dict.items()})


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Reads a file that `torch.save` wrote, if it holds plain values and tensors only.

    Raises:
        DigitsError: the file is damaged, or holds objects whose loading would run code.
    """
    refusal = DigitsError(
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


def read_training_state(path: Path, max_epochs: int) -> dict[str, Any]:
    """Reads a checkpoint that a training shall go on from.

    Raises:
        DigitsError: the file cannot be used, or is of a longer training than is asked for.
    """
    checkpoint = read_checkpoint(path)
    if not {"pytorch-lightning_version", "epoch", "global_step", "loops"} <= checkpoint.keys():
        raise DigitsError(f"{path} is no checkpoint of a training; try another name=RUN")
    if checkpoint["epoch"] >= max_epochs:
        raise DigitsError(
            f"trainer.max_epochs={max_epochs}, but {path} is of epoch {checkpoint['epoch'] + 1}; "
            f"try trainer.max_epochs={checkpoint['epoch'] + 1}, or another name=RUN"
        )
    return checkpoint
