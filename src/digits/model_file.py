"""model.pt: a trained network in one file of plain values and tensors, and its way back.

A run's checkpoints are read in the same way. Files may be from anybody: loading one runs no code in
it, and imports nothing but the networks of digits and modules of the user's own.
"""

import importlib
import math
import platform
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from digits.config.targets import is_own
from digits.data.datasets import CLASSES, NUM_CLASSES
from digits.data.split import normalize
from digits.errors import DigitsError
from digits.files import whole_file
from digits.models import networks
from digits.runs import LAST, MODEL

if TYPE_CHECKING:
    from digits.data.datamodule import MNISTDataModule
    from digits.models import Classifier

FORMAT = 3
READABLE = (2, FORMAT)
ENSEMBLE = "digits.models.networks.Ensemble"
"""What an ensemble's file names as its network; its `members` are what their own files say."""
NETWORKS = {
    f"{kind.__module__}.{kind.__qualname__}": kind
    for kind in (networks.MLP, networks.NoisyMLP, networks.ConvNet)
}
FORMER_NAMES = {  # of format 2, which named the classifier in place of its network
    "digits.models.baseline.BaselineClassifier": "digits.models.networks.MLP",
    "digits.models.dropout.DropoutClassifier": "digits.models.networks.MLP",
    "digits.models.noise.NoiseClassifier": "digits.models.networks.NoisyMLP",
    "digits.models.cnn.CnnClassifier": "digits.models.networks.ConvNet",
    "digits.ensembles.classifier.EnsembleClassifier": ENSEMBLE,
}
OF_TRAINING = ("max_norm",)
"""Arguments of those classifiers that their networks do not take."""

PARTS = {
    **{"model": str, "arguments": dict, "weights": dict, "normalization": dict},
    **{"classes": list, "split": dict},
}
SPLIT = {
    "val_size": int,
    "train_size": int | None,
    "split_seed": int,
    "val_sha256": str | None,  # None: an ensemble whose members validated on different images
}
_PRECISION = re.compile(r"(16|32|64|bf16)-(true|mixed)")
_REFUSALS = (
    *(DigitsError, RuntimeError, TypeError, ValueError),
    *(ArithmeticError, AttributeError, LookupError),
)
"""How Python and torch refuse arguments and weights that do not fit."""


class DamagedError(DigitsError):
    """A file that is not a checkpoint, or not a whole one."""


class TrainedClassifier(nn.Module):
    """A trained network together with its normalization: what `digits.load` returns.

    Args:
        network: normalized images (batch, 1, 28, 28) to logits (batch, 10).
        mean: subtracted from pixels in [0, 1].
        std: what pixels are then divided by.
        record: all that model.pt says besides the weights.
    """

    def __init__(self, network: nn.Module, mean: float, std: float, record: dict[str, Any]) -> None:
        super().__init__()
        self.network, self.mean, self.std, self.record = network, mean, std, record
        self.classes: tuple[str, ...] = tuple(record["classes"])

    def forward(self, images: Tensor) -> Tensor:
        """Map images to logits.

        Args:
            images: (batch, 1, 28, 28), uint8 from 0 to 255 or floats in [0, 1]; light ink on a dark
                ground.

        Returns:
            Logits (batch, 10); their softmax gives the probabilities of `self.classes`.
        """
        if images.is_floating_point():
            images = images.float()
        logits: Tensor = self.network(normalize(images, self.mean, self.std))
        return logits


def load(path: str | Path) -> TrainedClassifier:
    """Load a trained model.

    Args:
        path: a run directory, its model.pt, or one of its checkpoints.

    Returns:
        A module in `eval()` mode on the CPU: images (batch, 1, 28, 28), uint8 from 0 to 255 or
        floats in [0, 1], to logits (batch, 10).

    Raises:
        DigitsError: there is no such file, it is damaged or not a model of digits, or the file that
            defines its network cannot be imported.
    """
    return from_content(Path(path), read_model(Path(path)))


def save_model(
    path: Path, model: "Classifier", datamodule: "MNISTDataModule", precision: str = "32-true"
) -> None:
    """Write model.pt.

    Args:
        path: the file.
        model: the trained model.
        datamodule: what it was trained on.
        precision: the Trainer's, in which it was trained and is to be tested.
    """
    weights = {name: weight.detach().cpu() for name, weight in model.network.state_dict().items()}
    versions = {"torch": str(torch.__version__), "python": platform.python_version()}
    content = _content(model.recipe(), weights, datamodule.state_dict(), precision)
    write_model(path, content | {"versions": versions})


def write_model(path: Path, content: dict[str, Any]) -> None:
    """Write what `read_model` reads."""
    with whole_file(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)  # by name, it would become part of the bytes


def _content(
    recipe: Mapping[str, Any], weights: dict[str, Any], data: Mapping[str, Any], precision: str
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "model": recipe["model"],
        "arguments": recipe["arguments"],
        "weights": weights,
        "normalization": {"mean": data["mean"], "std": data["std"]},
        "classes": list(CLASSES),
        "dataset": data["dataset"],
        "split": {name: data[name] for name in SPLIT},
        "precision": precision,
    }


def model_path(path: Path) -> Path:
    """Return the file of a run directory that holds its model; a file stands for itself.

    Raises:
        DigitsError: the run is not finished, or the directory is not a run's.
    """
    if not path.is_dir():
        return path
    if (path / MODEL).exists():
        return path / MODEL
    if (path / LAST).exists():
        raise DigitsError(f"{path} is a run that has not come to its end; try {path / LAST}")
    inside = min(path.glob(f"*/{MODEL}"), default=Path("outputs", "runs", "NAME", MODEL))
    raise DigitsError(f"{path} is not a run directory: it holds no {MODEL}; try {inside.parent}")


def run_directory(path: Path) -> Path:
    """Return the run directory that a run directory, a model.pt or a checkpoint belongs to."""
    folder = model_path(path).absolute().parent
    return folder.parent if folder.name == LAST.parent.name else folder


def results_folder(path: Path, name: str) -> Path:
    """Return where results of a model are written: `name` in its run directory.

    Those of a checkpoint go beside, into e.g. `name-last`, since the run's own are of model.pt.
    """
    file = model_path(path)
    suffix = f"-{file.stem}" if file.absolute().parent.name == LAST.parent.name else ""
    return run_directory(path) / f"{name}{suffix}"


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a file that `torch.save` wrote, if it holds plain values and tensors only.

    Raises:
        DamagedError: the file is damaged, or holds objects whose loading would run code.
        DigitsError: there is none.
    """
    refusal = DamagedError(
        f"{path} is not a model.pt or checkpoint, is damaged, or holds more than plain values and "
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
            f"{path} is not a checkpoint: it holds a {type(content).__name__}, not a dictionary"
        )
    return content


def read_model(path: Path) -> dict[str, Any]:
    """Read what `save_model` wrote, from a run directory, a model.pt or a checkpoint.

    Raises:
        DigitsError: there is no such file, it is damaged, or not a model of digits.
    """
    path = model_path(path)
    content = read_checkpoint(path)
    if "pytorch-lightning_version" in content:
        content = _from_checkpoint(path, content)
    check_model(path, content)
    return _in_this_format(path, content)


def _from_checkpoint(path: Path, checkpoint: dict[str, Any]) -> dict[str, Any]:
    try:
        weights = {
            name.removeprefix("network."): weight
            for name, weight in checkpoint["state_dict"].items()
            if name.startswith("network.")
        }
        if "arguments" not in checkpoint:  # of the time of format 2
            checkpoint["arguments"] = dict(checkpoint["hyper_parameters"])
        data = checkpoint["MNISTDataModule"]  # under the data module's name
        return _content(checkpoint, weights, data, checkpoint["precision"])
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise DigitsError(
            f"{path} is not a checkpoint of this version of digits: it lacks {error}"
        ) from error


def check_model(path: Path, content: Mapping[str, Any]) -> None:
    """Check that a model file has all its parts, each of the kind that `save_model` writes.

    The network's own parts, its arguments and weights, are checked by building it.

    Raises:
        DigitsError: the first one that is missing or wrong; `path` is named.
    """
    if content.get("format") not in READABLE:
        raise DigitsError(
            f"{path} is not a model.pt of this version of digits, which reads the formats "
            f"{' and '.join(map(str, READABLE))}: its format is {content.get('format')}"
        )
    if missing := sorted(PARTS.keys() - content.keys()):
        raise DigitsError(f"{path} is not a model of digits: it lacks {', '.join(missing)}")
    right = {name: isinstance(content[name], kind) for name, kind in PARTS.items()}
    if all(right.values()):
        mean, std = (content["normalization"].get(name) for name in ("mean", "std"))
        are_numbers = isinstance(mean, int | float) and isinstance(std, int | float)
        right |= {
            "arguments": all(isinstance(name, str) for name in content["arguments"]),
            "normalization": are_numbers and math.isfinite(mean) and 0 < std < math.inf,
            "classes": [type(each) for each in content["classes"]] == NUM_CLASSES * [str],
            "dataset": isinstance(content.get("dataset"), str | None),
            "split": all(isinstance(content["split"].get(k, ()), SPLIT[k]) for k in SPLIT),
            "precision": bool(_PRECISION.fullmatch(str(content.get("precision", "32-true")))),
        }
    if wrong := [name for name, is_right in right.items() if not is_right]:
        raise DigitsError(
            f"{path} is not a model of digits: what it says of its {wrong[0]} is wrong"
        )


def _in_this_format(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    name, arguments = content["model"], dict(content["arguments"])
    if name in FORMER_NAMES:
        name = FORMER_NAMES[name]
        arguments = {key: value for key, value in arguments.items() if key not in OF_TRAINING}
    if name == ENSEMBLE:
        members = arguments.get("members")
        if not isinstance(members, list) or not all(isinstance(each, dict) for each in members):
            raise DigitsError(f"{path} does not fit its network {name}: it lacks members")
        for member in members:
            check_model(path, {"weights": {}} | member)
        arguments["members"] = [_in_this_format(path, member) for member in members]
    return {**content, "format": FORMAT, "model": name, "arguments": arguments}


def from_content(path: Path, content: Mapping[str, Any]) -> TrainedClassifier:
    """Make the module that `load` returns, of what `read_model` returned.

    Args:
        path: the file, for messages; it need not exist.
        content: what it holds.

    Raises:
        DigitsError: the network's class cannot be imported, or the content does not fit it.
    """
    try:
        network = _network(path, content)
        network.load_state_dict(content["weights"])
    except _UnknownNetworkError:
        raise
    except _REFUSALS as error:
        reason = " ".join(str(error).split())
        raise DigitsError(
            f"{path} does not fit its network {content['model']}: {reason}"
        ) from error
    record = {key: value for key, value in content.items() if key != "weights"}
    return TrainedClassifier(network, **content["normalization"], record=record).eval()


class _UnknownNetworkError(DigitsError):
    pass


def _network(path: Path, record: Mapping[str, Any]) -> nn.Module:
    name, arguments = record["model"], record["arguments"]
    if name == ENSEMBLE:
        members = arguments["members"]
        return networks.Ensemble(
            [networks.Normalized(_network(path, each), **each["normalization"]) for each in members]
        )
    if name in NETWORKS:
        return NETWORKS[name](**arguments)
    network: nn.Module = _own_classifier(path, name)(**arguments).network
    return network


def _own_classifier(path: Path, name: str) -> "type[Classifier]":
    """Import a classifier of the user's own; importing any other module would run its code."""
    module, _, attribute = name.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), attribute) if is_own(module) else None
    except (ImportError, AttributeError):
        kind = None
    from digits.models import Classifier  # imports Lightning, as the user's module has

    if not (isinstance(kind, type) and issubclass(kind, Classifier)):
        raise _UnknownNetworkError(
            f"{path} needs the network {name}, which cannot be imported as a "
            "digits.models.Classifier; if it is your own, put its file on PYTHONPATH"
        )
    return kind
