"""Checkpoints: written whole or not at all, and read without running any code in them."""

import errno
import zipfile
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from digits.errors import DigitsError
from digits.files import whole_file

BEST, LAST = "best.ckpt", "last.ckpt"


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
            file.flush()
            with zipfile.ZipFile(temporary) as archive:
                if archive.testzip() is not None:
                    raise OSError(errno.EIO, "what was written is not what is read", str(path))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Reads a checkpoint of plain values, whatever `weights_only` asks for."""
        return read_checkpoint(Path(path), map_location)


class RunCheckpoint(ModelCheckpoint):
    """Lightning's, with one file of that name, and a state that moves with the run directory.

    Lightning's `save_last` writes only where the best checkpoint is written, so the last one is a
    callback of its own.

    Args:
        **options: Lightning's.
    """

    def __init__(self, **options: Any) -> None:
        # A resumed run writes best.ckpt again, not best-v1.ckpt.
        plain_names = {"enable_version_counter": False, "auto_insert_metric_name": False}
        super().__init__(**plain_names | options)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the state, with paths in the folder where the checkpoint lies now."""
        old, new = state_dict["dirpath"], str(self.dirpath)

        def moved(value: Any) -> Any:
            if isinstance(value, dict):
                return {moved(key): each for key, each in value.items()}
            return value.replace(old, new, 1) if isinstance(value, str) else value

        super().load_state_dict({key: moved(value) for key, value in state_dict.items()})


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


def read_newest(run_dir: Path, max_epochs: int) -> tuple[Path, dict[str, Any], str]:
    """Reads the checkpoint that a training goes on from: last.ckpt, or the best one before it.

    Returns:
        The file, its content, and, if last.ckpt is damaged, a line that says so.

    Raises:
        DigitsError: neither can be used, or a training that long is not asked for.
    """
    last, best = (run_dir / "checkpoints" / name for name in (LAST, BEST))
    try:
        return last, read_training_state(last, max_epochs), ""
    except DamagedError:
        try:
            checkpoint = read_training_state(best, max_epochs)
        except DigitsError:
            checkpoint = {}
        if not checkpoint:
            raise
        epoch = checkpoint["epoch"] + 1
        return best, checkpoint, f"{last} is damaged: going on from {BEST}, after epoch {epoch}"


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
