"""A finished run, as its directory tells of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from digits.errors import DigitsError
from digits.files import flat
from digits.runs import (
    read_history,
    read_json,
    read_mapping,
    read_metrics,
    read_overrides,
    read_predictions,
)

CANNOT_CHANGE_A_RESULT = (
    *("seed", "name", "test", "resume", "debug", "logger", "hydra"),
    *("data.dir", "data.source", "data.mirrors", "trainer.profiler"),
)
"""Keys (and all below them) that runs of one group may have other values of.

The seed changes the result, of course: a group is what differs in nothing else. `debug` holds
nothing by itself, and what `data.source` led to is in metrics.json as the dataset.
"""
DATASET = "dataset"
REQUIRED = (
    *("seed", "dataset", "epochs", "max_epochs", "val/accuracy", "num_val", "val_split_sha256"),
    *("test/accuracy", "num_test", "num_parameters", "train_time_s"),
)


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run.

    Attributes:
        path: its directory.
        options: its configuration by dotted keys, and the dataset; without nulls, the seed and what
            cannot change a result.
        choices: the option of each config group; empty if that is not known.
        overridden: the dotted keys that its command line named.
        metrics: what metrics.json holds.
        labels: uint8 (n,), the classes of the test images, in their order.
        correct: bool (n,), whether each of them was classified correctly.
        history: what metrics.csv holds, one row an epoch.
    """

    path: Path
    options: Mapping[str, Any]
    choices: Mapping[str, str]
    overridden: frozenset[str]
    metrics: Mapping[str, Any]
    labels: npt.NDArray[np.uint8]
    correct: npt.NDArray[np.bool_]
    history: Sequence[Mapping[str, float]]

    @property
    def seed(self) -> int:
        """The number that drew weights, order of the images and dropout."""
        return int(self.metrics["seed"])

    @property
    def val_accuracy(self) -> float | None:
        """A fraction, or `None` if the run had no validation images."""
        accuracy: float | None = self.metrics["val/accuracy"]
        return accuracy

    @property
    def test_images(self) -> tuple[str, bytes]:
        """Equal for runs that were tested on the same images in the same order."""
        return self.metrics["dataset"], self.labels.tobytes()

    @property
    def val_images(self) -> tuple[str, str, int]:
        """Equal for runs that were validated on the same images."""
        metrics = self.metrics
        return metrics["dataset"], metrics["val_split_sha256"], metrics["num_val"]


def read_run(path: Path) -> Run:
    """Reads a run directory.

    Raises:
        DigitsError: the run is not finished, or a file of it is missing or damaged. The message
            says so without the run's name.
    """
    status = read_json(path / "status.json") if (path / "status.json").exists() else {}
    if not (path / "metrics.json").exists():
        told = ": ".join(str(status[key]) for key in ("status", "reason") if status.get(key))
        raise DigitsError(f"not finished ({told or 'there is no metrics.json'})")
    metrics = read_metrics(path)
    if missing := [key for key in REQUIRED if key not in metrics]:
        raise DigitsError(f"metrics.json does not say {missing[0]}; train the run anew")
    written = flat_options(read_mapping(path / ".hydra" / "config.yaml"))
    # Hydra writes config.yaml anew for a command that is then refused; status.json tells the truth.
    config = status.get("config")
    options = flat_options(config) if config and isinstance(config, Mapping) else written
    if lengthened := status.get("lengthened"):
        options["trainer.lengthened_from"] = str(lengthened)
    planned, trained = options.get("trainer.max_epochs"), metrics["max_epochs"]
    if planned is not None and planned != trained:
        raise DigitsError(f"not finished (it goes on from {trained} epochs to {planned})")

    if metrics["test/accuracy"] is None:
        raise DigitsError("not tested; the run's own command without test=false tests it")
    predictions = read_predictions(path)
    labels, correct = predictions.labels, predictions.labels == predictions.predicted
    if len(labels) == 0:
        raise DigitsError("it was not tested")
    tested = round(metrics["test/accuracy"] * metrics["num_test"])
    if (metrics["num_test"], tested) != (len(labels), correct.sum()):
        raise DigitsError("predictions.npz is of another test than metrics.json")
    choices: Mapping[str, str] = {}
    overridden: Sequence[str] = ()
    if all("${" in str(value) or options.get(key) == value for key, value in written.items()):
        choices = _choices(path / ".hydra" / "hydra.yaml")
        overridden = [_key(line) for line in read_overrides(path)]
    return Run(
        path=path,
        options=options | {DATASET: metrics["dataset"]},
        choices=choices,
        overridden=frozenset(overridden),
        metrics=metrics,
        labels=labels,
        correct=correct,
        history=read_history(path),
    )


def flat_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what in a configuration can change a result besides the seed, by dotted keys."""
    ignored = tuple(f"{key}." for key in CANNOT_CHANGE_A_RESULT)
    return {
        key: value
        for key, value in flat(config)
        if value is not None and not f"{key}.".startswith(ignored)
    }


def _choices(path: Path) -> dict[str, str]:
    chosen: Any = read_mapping(path)
    for name in ("hydra", "runtime", "choices"):
        chosen = chosen.get(name) if isinstance(chosen, Mapping) else None
    if not isinstance(chosen, Mapping):
        raise DigitsError(f"{path.name} is damaged")
    items = ((str(group), str(option)) for group, option in chosen.items() if option)
    return {group: option for group, option in items if "/" not in group}


def _key(override: str) -> str:
    return str(override).lstrip("+~").partition("=")[0]
