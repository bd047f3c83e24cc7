"""What model.pt and checkpoints say of a trained network, and the network made from it again."""

import importlib
import platform
from pathlib import Path
from typing import Any

import torch

from importlib.util import find_spec

from digits.config.targets import is_own
from digits.data.datamodule import SPLIT_OPTIONS, MNISTDataModule
from digits.errors import DigitsError
from digits.models.classifier import Classifier
from digits.sound import check_sound
from digits.training.checkpoints import read_checkpoint

FORMAT = 2
CLASSES = tuple("0123456789")
PARTS = ("model", "arguments", "weights", "normalization", "classes", "split")
REFUSALS = (
    *(DigitsError, RuntimeError, TypeError, ValueError),
    *(ArithmeticError, AttributeError, LookupError),
)
"""How Python and torch refuse arguments and weights that do not fit."""
ENSEMBLE = "digits.ensembles.classifier.EnsembleClassifier"
"""What model.pt of an ensemble names as its network."""
PACKAGES = ("digits.models.", "digits.ensembles.")
"""Where the networks of digits are."""


def describe(model: Classifier, datamodule: MNISTDataModule) -> dict[str, Any]:
    """Returns all that is needed to use, test and understand a model: plain values and tensors."""
    weights = {name: weight.detach().cpu() for name, weight in model.network.state_dict().items()}
    content = _content(model.class_path, dict(model.hparams), weights, datamodule.state_dict())
    # A model that was made by hand has no trainer.
    precision = model._trainer.precision if model._trainer else "32-true"
    versions = {"torch": str(torch.__version__), "python": platform.python_version()}
    return content | {"precision": precision, "versions": versions}


def _content(
    model: str, arguments: dict[str, Any], weights: dict[str, Any], data: dict[str, Any]
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "model": model,
        "arguments": arguments,
        "weights": weights,
        "normalization": {"mean": data["mean"], "std": data["std"]},
        "classes": list(CLASSES),
        "dataset": data["dataset"],
        "split": {name: data[name] for name in (*SPLIT_OPTIONS, "val_sha256")},
    }


def saved_file(path: Path) -> Path:
    """Returns the file of a run directory that holds its model; a file stands for itself.

    Raises:
        DigitsError: the run is not finished, or the directory is none of a run.
    """
    if not path.is_dir():
        return path
    if (path / "model.pt").exists():
        return path / "model.pt"
    last = path / "checkpoints" / "last.ckpt"
    if last.exists():
        raise DigitsError(f"{path} is a run that has not come to its end; try {last}")
    inside = min(path.glob("*/model.pt"), default=Path("outputs", "runs", "NAME", "model.pt"))
    raise DigitsError(f"{path} is no run directory: it holds no model.pt; try {inside.parent}")


def run_directory(path: Path) -> Path:
    """Returns the run directory that a run directory, a model.pt or a checkpoint belongs to."""
    folder = saved_file(path).absolute().parent
    return folder.parent if folder.name == "checkpoints" else folder


def results_folder(path: Path, name: str) -> Path:
    """Returns where results of a model are written: `name` in its run directory.

    Those of a checkpoint go beside, into e.g. `name-last`, since the run's own are of model.pt.
    """
    file = saved_file(path)
    suffix = f"-{file.stem}" if file.absolute().parent.name == "checkpoints" else ""
    return run_directory(path) / f"{name}{suffix}"


def read_saved(path: Path) -> dict[str, Any]:
    """Reads what `describe` returned from a run directory, a model.pt or a checkpoint.

    Raises:
        DigitsError: there is no such file, or it is damaged or no model of this version of digits.
    """
    path = saved_file(path)
    content = read_checkpoint(path)
    if "pytorch-lightning_version" in content:
        return _from_checkpoint(path, content)
    check_content(path, content)
    return content


def check_content(path: Path, content: dict[str, Any]) -> None:
    """Checks that `content` has all the parts that `describe` returns, and of which kinds.

    Raises:
        DigitsError: it has not; `path` is named.
    """
    if content.get("format") != FORMAT:
        raise DigitsError(
            f"{path} is no model.pt of this version of digits (format {content.get('format')})"
        )
    missing = set(PARTS) - content.keys()
    if isinstance(content.get("normalization", {}), dict):
        missing |= {"mean", "std"} - content.get("normalization", {}).keys()
    if missing:
        raise DigitsError(f"{path} is no model of digits: it lacks {', '.join(sorted(missing))}")
    check_sound(path, content)


def _from_checkpoint(path: Path, checkpoint: dict[str, Any]) -> dict[str, Any]:
    try:
        weights = {
            name.removeprefix("network."): weight
            for name, weight in checkpoint["state_dict"].items()
            if name.startswith("network.")
        }
        arguments, data = checkpoint["hyper_parameters"], checkpoint[MNISTDataModule.__qualname__]
        content = _content(checkpoint["model"], dict(arguments), weights, data)
        content |= {"precision": checkpoint["precision"]}
        check_sound(path, content)
        return content
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise DigitsError(
            f"{path} is no checkpoint of this version of digits: it lacks {error}"
        ) from error


def rebuild(path: Path, content: dict[str, Any]) -> Classifier:
    """Makes the LightningModule that `content` describes, with its weights.

    Raises:
        DigitsError: its class cannot be imported, or the content does not fit it.
    """
    kind = network_class(path, content["model"])
    try:
        model = kind(**content["arguments"])
        model.network.load_state_dict(content["weights"])
    except REFUSALS as error:
        reason = " ".join(str(error).split())
        raise DigitsError(
            f"{path} does not fit its network {content['model']}: {reason}"
        ) from error
    return model.eval()


def network_class(owner: object, name: str) -> type[Classifier]:
    """Imports the class of a network, which may be of digits or the user's own.

    Args:
        owner: who names it, for the message.
        name: its module and name, with dots between.

    Raises:
        DigitsError: it cannot be imported, or is no Classifier.
    """
    module, _, attribute = str(name).rpartition(".")
    refusal = DigitsError(
        f"{owner} names {name} as its network, which is no digits.models.Classifier"
    )
    if find_spec(module.partition(".")[0]) and not (is_own(module) or f"{module}.".startswith(PACKAGES)):
        raise refusal  # importing a module runs its code
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise DigitsError(
            f"{owner} needs the network {name}, which cannot be imported; "
            "put its file on PYTHONPATH"
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, Classifier)):
        raise refusal
    return kind
