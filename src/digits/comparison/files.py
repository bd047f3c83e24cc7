"""The files of a run directory, read without torch, Lightning and Hydra, which take seconds."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import yaml

from digits.errors import DigitsError

Content = TypeVar("Content")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C ten times as fast


def read_json(path: Path) -> dict[str, Any]:
    """Reads one JSON object, e.g. metrics.json.

    Raises:
        DigitsError: it is missing or damaged.
    """
    return _read(path, lambda: dict(json.loads(path.read_text())))


def read_yaml(path: Path) -> Any:
    """Reads one YAML document; `${...}` stays as it is written.

    Raises:
        DigitsError: it is missing or damaged.
    """
    return _read(path, lambda: yaml.load(path.read_text(), _Loader))


def read_history(path: Path) -> list[dict[str, float]]:
    """Reads metrics.csv, a row an epoch; what was not measured is left out of a row.

    Raises:
        DigitsError: it is missing or damaged.
    """

    def rows() -> list[dict[str, float]]:
        with path.open(newline="") as file:
            return [
                {name: float(value) for name, value in row.items() if value}
                for row in csv.DictReader(file)
            ]

    return _read(path, rows)


def read_answers(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Reads predictions.npz.

    Returns:
        The test images' classes, uint8 (n,), and whether each was classified correctly, bool (n,).

    Raises:
        DigitsError: it is missing or damaged.
    """

    def answers() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        # By its path, numpy would leave a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            labels, predicted = arrays["labels"], arrays["predicted"]
        if labels.ndim != 1 or labels.shape != predicted.shape:
            raise ValueError
        return labels, labels == predicted

    return _read(path, answers)


def _read(path: Path, read: Callable[[], Content]) -> Content:
    try:
        return read()
    except FileNotFoundError:
        raise DigitsError(f"there is no {path.name}") from None
    except OSError as error:
        raise DigitsError(f"{path.name} cannot be read: {error.strerror}") from None
    except Exception:  # each format's reader raises whatever the bytes make it stumble over
        raise DigitsError(f"{path.name} is damaged") from None
