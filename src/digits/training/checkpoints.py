"""Checkpoints: written whole or not at all, and read without running any code in them."""

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
        with whole_file(path) as temporary:
            torch.save(checkpoint, temporary)

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
    try:
        content = torch.load(path, map_location=map_location, weights_only=True)
    except FileNotFoundError:
        raise DigitsError(f"there is no file {path}") from None
    except Exception as error:  # torch.load raises whatever the bytes make it stumble over
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DigitsError(
            f"{path} cannot be loaded: it is damaged, or holds more than plain values ({reason})"
        ) from None
    if not isinstance(content, dict):
        raise DigitsError(
            f"{path} is no checkpoint: it holds a {type(content).__name__}, not a dictionary"
        )
    return content


def resume_point(run_dir: Path, resume: str) -> Path | None:
    """Returns the checkpoint that the run goes on from, or `None` for a new start.

    Args:
        run_dir: the run directory.
        resume: "auto" (the last checkpoint, if there is one), "must" or "never".

    Raises:
        DigitsError: "must", and there is no checkpoint; or "never", and there is one, which a new
            start would destroy.
    """
    last = run_dir / "checkpoints" / "last.ckpt"
    if resume == "must" and not last.exists():
        raise DigitsError(
            f"resume=must, but {last} does not exist; name the run to go on with (name=RUN), "
            "or try resume=auto"
        )
    if resume == "never" and last.exists():
        raise DigitsError(
            f"resume=never, but {run_dir} holds a run already; try another name=RUN, or resume=auto"
        )
    return last if last.exists() else None
