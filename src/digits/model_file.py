"""model.pt: a trained network in one file of plain values and tensors, and loading it.

A run's checkpoints are read in the same way. Files may be from anybody: loading one runs no code in
it, and imports nothing but the networks of digits and modules of your own.
"""

import importlib
import io
import os
import platform
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from digits.config.targets import is_own
from digits.data.datasets import CLASSES, NUM_CLASSES, SIDE
from digits.data.split import normalize
from digits.errors import DigitsError
from digits.files import write_atomically
from digits.models import networks
from digits.run_directory import LAST, MODEL
from digits.text import similar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from digits.data.datamodule import MNISTDataModule
    from digits.models import Classifier
    from digits.run_directory import Run

FORMAT = 3
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
PARTS = {
    **{"model": str, "arguments": dict, "weights": dict, "normalization": dict},
    **{"classes": list, "dataset": str, "split": dict},
}
SPLIT = ("val_size", "train_size", "split", "split_seed", "folds", "fold", "val_sha256")
FORMER_SPLIT = {"split": "random", "folds": None, "fold": None}
"""What files of releases before do not say."""


class TrainedClassifier(nn.Module):
    """A trained network with its normalization, and a `record` of all else that model.pt says."""

    def __init__(self, network: nn.Module, mean: float, std: float, record: dict[str, Any]) -> None:
        super().__init__()
        self.network, self.mean, self.std, self.record = network, mean, std, record
        self.classes: tuple[str, ...] = tuple(record["classes"])

    def forward(self, images: "Tensor | NDArray[Any]") -> Tensor:
        """Map images (batch, 1, 28, 28) to logits, one for each of `self.classes`.

        Images are light ink on a dark ground: uint8 from 0 to 255, floats in [0, 1] or booleans;
        (batch, 28, 28), a single (28, 28) and NumPy arrays are taken, too.

        Raises:
            DigitsError: they are something else.
        """
        weights = next(self.network.parameters(), torch.empty(0))
        if not torch.compiler.is_compiling():  # a graph has no values to look at
            images = _checked(images, weights.device)
        assert isinstance(images, Tensor)
        if images.dtype != torch.uint8:
            images = images.float()
        logits: Tensor = self.network(normalize(images, self.mean, self.std).to(weights.dtype))
        return logits


def _checked(images: Any, device: torch.device) -> Tensor:
    """Return images as (batch, 1, 28, 28); refuse what the network would misread."""
    if not isinstance(images, Tensor):
        images = torch.tensor(images, device=device)
    shape, dtype = tuple(images.shape), str(images.dtype).removeprefix("torch.")
    if shape[-2:] != (SIDE, SIDE) or len(shape) > 4 or (len(shape) == 4 and shape[1] != 1):
        raise DigitsError(f"images have the shape (batch, 1, {SIDE}, {SIDE}), got {shape}")
    takes = "images are uint8 from 0 to 255, floats in [0, 1] or booleans"
    if not (images.is_floating_point() or images.dtype in (torch.uint8, torch.bool)):
        raise DigitsError(f"{takes}, got {dtype}; try images.to(torch.uint8)")
    if images.numel() and images.dtype != torch.bool:
        low, high = (float(each) for each in images.detach().aminmax())
        if images.dtype == torch.uint8 and high == 1:
            raise DigitsError(f"{takes}, got uint8 of 0 and 1 only; try images.bool()")
        # Resizing and rounding may go a little beyond.
        if images.is_floating_point() and not (low >= -0.01 and high <= 1.01):
            is_unscaled = low >= 0 and 2 < high <= 255
            remedy = "try images / 255" if is_unscaled else "the model normalizes them itself"
            raise DigitsError(f"{takes}, got {dtype} from {low:.3g} to {high:.3g}; {remedy}")
    checked: Tensor = images.reshape(-1, 1, SIDE, SIDE)
    return checked


def load(path: "str | Path | Run") -> TrainedClassifier:
    """Load a trained model from a run or its directory, its model.pt, or one of its checkpoints.

    Returns:
        A module in `eval()` mode on the CPU, from images to logits, see `TrainedClassifier`; it
        may be put on another device and into another dtype.

    Raises:
        DigitsError: the file is missing, damaged or not a model of digits, or the file that defines
            its network cannot be imported.
    """
    path = Path(path) if isinstance(path, str | Path) else path.dir
    return from_content(path, read_model(path))


def save_model(
    path: Path, model: "Classifier", datamodule: "MNISTDataModule", precision: str = "32-true"
) -> None:
    """Write model.pt of a model that was trained, in the Trainer's `precision`, on `datamodule`."""
    weights = {name: weight.detach().cpu() for name, weight in model.network.state_dict().items()}
    versions = {"torch": str(torch.__version__), "python": platform.python_version()}
    content = _content(model.recipe(), weights, datamodule.state_dict(), precision)
    write_model(path, content | {"versions": versions})


def write_model(path: Path, content: dict[str, Any]) -> None:
    """Write what `read_model` reads."""
    written = io.BytesIO()  # torch does not say why it could not write to a file
    torch.save(content, written)
    write_atomically(path, written.getbuffer())


def _content(
    recipe: Mapping[str, Any], weights: dict[str, Any], data: dict[str, Any], precision: str
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "model": recipe["model"],
        "arguments": recipe["arguments"],
        "weights": weights,
        "normalization": {"mean": data["mean"], "std": data["std"]},
        "classes": list(data.get("classes", CLASSES)),
        "dataset": data["dataset"],
        "split": {name: (FORMER_SPLIT | data)[name] for name in SPLIT},
        "precision": precision,
    }


def model_path(path: Path) -> Path:
    """Return the file of a run directory that holds its model; a file stands for itself."""
    if not path.exists() and not path.suffix:
        near = similar(path.name, os.listdir(path.parent) if path.parent.is_dir() else [])
        remedy = f"; did you mean {path.parent / near[0]}?" if near else ""
        raise DigitsError(f"run directory {path} does not exist{remedy}")
    if not path.is_dir():
        return path
    if (path / MODEL).exists():
        return path / MODEL
    if (path / LAST).exists():
        raise DigitsError(f"{path} holds no {MODEL}; run its command again, or try {path / LAST}")
    inside = min(path.glob(f"*/{MODEL}"), default=Path("outputs", "runs", "NAME", MODEL))
    raise DigitsError(f"{path} is not a run directory: it holds no {MODEL}; try {inside.parent}")


def run_directory(path: Path) -> Path:
    """Return the run directory that a run directory, a model.pt or a checkpoint belongs to."""
    folder = model_path(path).absolute().parent
    return folder.parent if folder.name == LAST.parent.name else folder


def results_folder(path: Path, name: str) -> Path:
    """Return where results are written: `name` of a run directory, `name-last` of its last.ckpt."""
    file = model_path(path)
    suffix = "" if run_directory(file) == file.absolute().parent else f"-{file.stem}"
    return run_directory(file) / f"{name}{suffix}"


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a dictionary that `torch.save` wrote, if it holds plain values and tensors only."""
    try:
        with zipfile.ZipFile(path) as archive:
            is_whole = archive.testzip() is None  # torch.load ignores the checksums
        content = torch.load(path, map_location=map_location, weights_only=True)
    except FileNotFoundError:
        raise DigitsError(f"file {path} does not exist") from None
    except PermissionError as error:
        raise DigitsError(f"{path} cannot be read ({error.strerror})") from None
    except Exception:  # torch.load raises whatever the bytes make it stumble over
        is_whole = False
    if not is_whole or not isinstance(content, dict):
        raise DigitsError(
            f"{path} is not a model.pt or checkpoint, is damaged, or holds more than plain values "
            "and tensors, whose loading could run code"
        )
    return content


def read_model(path: Path) -> dict[str, Any]:
    """Read what `save_model` wrote, from a run directory, a model.pt or a checkpoint."""
    path = model_path(path)
    content = read_checkpoint(path)
    if "pytorch-lightning_version" in content:
        content = _from_checkpoint(path, content)
    if content.get("format") not in (2, FORMAT):
        raise DigitsError(
            f"{path} is not a model.pt of this version of digits, which reads the formats 2 and "
            f"{FORMAT}: its format is {content.get('format')}"
        )
    for part, kind in PARTS.items():
        if not isinstance(content.get(part), kind):
            raise DigitsError(f"{path} is not a model of digits: its {part} is missing or wrong")
    return _in_this_format(content)


def _from_checkpoint(path: Path, checkpoint: dict[str, Any]) -> dict[str, Any]:
    prefix = "network."
    try:
        weights = {
            name.removeprefix(prefix): weight
            for name, weight in checkpoint["state_dict"].items()
            if name.startswith(prefix)
        }
        # Those of the time of format 2 have the classifier's arguments only.
        recipe = {"arguments": checkpoint.get("hyper_parameters")} | checkpoint
        data = checkpoint["MNISTDataModule"]  # under the data module's name
        return _content(recipe, weights, data, checkpoint["precision"])
    except KeyError as error:
        raise DigitsError(
            f"{path} is not a checkpoint of this version of digits: it lacks {error}"
        ) from error


def _in_this_format(record: Mapping[str, Any]) -> dict[str, Any]:
    name, arguments = record.get("model"), record.get("arguments", {})
    if name in FORMER_NAMES:
        # The classifier's only argument that is not its network's was `max_norm`.
        arguments = {key: value for key, value in arguments.items() if key != "max_norm"}
        name = FORMER_NAMES[name]
    if name == ENSEMBLE:
        arguments = {"members": [_in_this_format(each) for each in arguments.get("members", ())]}
    split = FORMER_SPLIT | record.get("split", {})
    own = {"format": FORMAT, "model": name, "arguments": arguments, "split": split}
    return {**record, **own}


def from_content(path: Path, content: Mapping[str, Any]) -> TrainedClassifier:
    """Make the module that `load` returns of what `read_model` did; `path` is for messages."""
    record = {key: value for key, value in content.items() if key != "weights"}
    try:
        network = _network(record)
        network.load_state_dict(content["weights"])
        for name, weight in network.state_dict(keep_vars=True).items():
            # A buffer may be infinite, as an attention mask is.
            if weight.isnan().any() or (isinstance(weight, nn.Parameter) and weight.isinf().any()):
                raise DigitsError(f"its {name} is not finite: training has diverged")
        return TrainedClassifier(network, **content["normalization"], record=record).eval()
    except Exception as error:  # classes refuse arguments and weights in any way they like
        reason = " ".join(str(error).split())
        raise DigitsError(
            f"{path}: cannot build its network {content['model']}: {reason}"
        ) from error


def _network(record: Mapping[str, Any]) -> nn.Module:
    name, arguments = record["model"], record["arguments"]
    if name == ENSEMBLE:
        members = [(_network(each), each["normalization"]) for each in arguments["members"]]
        return networks.Ensemble([networks.Normalized(each, **how) for each, how in members])
    num_classes = len(record.get("classes", CLASSES))
    if num_classes != NUM_CLASSES:
        arguments = {**arguments, "num_classes": num_classes}
    if name in NETWORKS:
        return NETWORKS[name](**arguments)
    network: nn.Module = _own_classifier(name)(**arguments).network
    return network


def _own_classifier(name: str) -> "type[Classifier]":
    """Import a classifier of the user's own; importing any other module would run its code."""
    module, _, attribute = name.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), attribute) if is_own(module) else None
    except (ImportError, AttributeError):
        kind = None
    from digits.models import Classifier  # imports Lightning, as the user's module has

    if not (isinstance(kind, type) and issubclass(kind, Classifier)):
        raise DigitsError(
            "it cannot be imported as a digits.models.Classifier; if it is your own, put its file "
            "on PYTHONPATH"
        )
    return kind
