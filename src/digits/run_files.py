"""The files of a run directory, read with care, and without torch and Lightning."""

import csv
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from digits.errors import DigitsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Content = TypeVar("Content")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C ten times as fast

COUNTS = (
    *("seed", "epochs", "best_epoch", "max_epochs"),
    *("num_parameters", "num_train", "num_val", "num_test"),
)
FRACTIONS = tuple(f"{part}/accuracy" for part in ("train", "val", "test"))
TEXTS = ("dataset", "val_split_sha256")


@dataclass(frozen=True, eq=False)
class Predictions:
    """The test images' classes, in their order.

    Attributes:
        labels: uint8 (n,), the true ones.
        predicted: uint8 (n,), the most probable ones.
        confidence: float16 (n,), their probabilities.
    """

    labels: "npt.NDArray[np.uint8]"
    predicted: "npt.NDArray[np.uint8]"
    confidence: "npt.NDArray[np.float16]"


def read_json(path: Path) -> dict[str, Any]:
    """Reads one JSON object, e.g. metrics.json.

    Raises:
        DigitsError: it is missing or damaged.
    """
    return _read(path, lambda: _mapping(json.loads(path.read_text())))


def read_results(run_dir: Path) -> dict[str, Any]:
    """Reads metrics.json of a finished run; what is a figure there is one.

    Raises:
        DigitsError: it is missing or damaged, or a figure is impossible.
    """
    metrics = read_json(run_dir / "metrics.json")
    for key, value in metrics.items():
        is_fraction = isinstance(value, int | float) and 0 <= value <= 1
        possible = {
            **dict.fromkeys(COUNTS, type(value) is int and 0 <= value < 2**63),
            **dict.fromkeys(FRACTIONS, value is None or is_fraction),
            **dict.fromkeys(TEXTS, value is None or isinstance(value, str)),
            "train_time_s": isinstance(value, int | float) and 0 <= value < math.inf,
        }
        if not possible.get(key, True):
            raise DigitsError(f"metrics.json is damaged: its {key} is {str(value)[:40]!r}")
    return metrics


def read_yaml(path: Path) -> Any:
    """Reads one YAML document; `${...}` stays as it is written.

    Raises:
        DigitsError: it is missing or damaged.
    """
    return _read(path, lambda: yaml.load(path.read_text(), _Loader))


def read_options(path: Path) -> dict[str, Any]:
    """Reads one YAML document that has keys, e.g. .hydra/config.yaml.

    Raises:
        DigitsError: it is missing or damaged.
    """
    return _read(path, lambda: _mapping(read_yaml(path)))


def read_overrides(run_dir: Path) -> list[str]:
    """Reads what a run's command line said, e.g. ["optim.lr=0.1"].

    Raises:
        DigitsError: .hydra/overrides.yaml is missing or damaged.
    """
    path = run_dir / ".hydra" / "overrides.yaml"

    def lines() -> list[str]:
        found = read_yaml(path) or []
        if not isinstance(found, list):
            raise TypeError
        return [str(line) for line in found]

    return _read(path, lines)


def read_history(run_dir: Path) -> list[dict[str, float]]:
    """Reads metrics.csv, a row an epoch; what was not measured is left out of a row.

    Raises:
        DigitsError: it is missing or damaged.
    """
    path = run_dir / "metrics.csv"

    def rows() -> list[dict[str, float]]:
        with path.open(newline="") as file:
            found = [
                {name: float(value) for name, value in row.items() if value}
                for row in csv.DictReader(file)
            ]
        if not all(math.isfinite(row["epoch"]) for row in found):
            raise ValueError
        return found

    return _read(path, rows)


def read_predictions(run_dir: Path) -> Predictions:
    """Reads predictions.npz, which is written when a run is tested.

    Raises:
        DigitsError: it is missing or damaged.
    """
    import numpy as np  # takes a tenth of a second, which a wrong command line need not wait for

    path = run_dir / "predictions.npz"

    def predictions() -> Predictions:
        # By its path, numpy would leave a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            labels, predicted = arrays["labels"], arrays["predicted"]
            confidence = arrays["confidence"]
        shapes = {labels.shape, predicted.shape, confidence.shape}
        if shapes != {(len(labels),)} or {labels.dtype, predicted.dtype} != {np.dtype(np.uint8)}:
            raise ValueError
        return Predictions(labels, predicted, confidence)

    return _read(path, predictions)


def _mapping(content: Any) -> dict[str, Any]:
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise TypeError
    return dict(content)


def _read(path: Path, read: Callable[[], Content]) -> Content:
    try:
        return read()
    except DigitsError:
        raise
    except FileNotFoundError:
        raise DigitsError(f"there is no {path.name}") from None
    except OSError as error:
        raise DigitsError(f"{path.name} cannot be read: {error.strerror}") from None
    except Exception:  # each format's reader raises whatever the bytes make it stumble over
        raise DigitsError(f"{path.name} is damaged") from None
