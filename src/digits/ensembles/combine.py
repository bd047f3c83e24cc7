"""Several model files made one."""

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from digits.ensembles.members import weights_prefix
from digits.ensembles.names import member_name
from digits.errors import DigitsError
from digits.recorded import ENSEMBLE, read_saved, saved_file


def combine(paths: Sequence[Path]) -> dict[str, Any]:
    """Returns what model.pt of the ensemble of these models holds.

    If all members kept the same images apart for validation, so did the ensemble. If not, an image
    that is new to one member is one that another was trained on: the ensemble's `val_sha256` is
    `None` then, and it can be tested, but not validated.

    Args:
        paths: run directories, model.pt files or checkpoints, the members in their order.

    Raises:
        DigitsError: a file cannot be used, is named twice, or is of another dataset.
    """
    files = [saved_file(path) for path in paths]
    _check_different(files)
    contents = [read_saved(file) for file in files]
    first = contents[0]
    for file, content in zip(files, contents, strict=True):
        for what in ("dataset", "classes"):
            if content[what] != first[what]:
                raise DigitsError(
                    f"{file} is of {what} {content[what]}, {files[0]} of {first[what]}, and an "
                    "ensemble is tested on one set of images; try runs on the same data"
                )
    records = [
        {name: value for name, value in content.items() if name != "weights"}
        | {"name": member_name(file)}
        for file, content in zip(files, contents, strict=True)
    ]
    precisions = {content.get("precision", "32-true") for content in contents}
    validated_on = {content["split"]["val_sha256"] for content in contents}
    return first | {
        "model": ENSEMBLE,
        "arguments": {"members": records},
        "weights": {
            f"{weights_prefix(number)}{name}": weight
            for number, content in enumerate(contents)
            for name, weight in content["weights"].items()
        },
        "normalization": {"mean": 0.0, "std": 1.0},
        "split": first["split"]
        | {"val_sha256": validated_on.pop() if len(validated_on) == 1 else None},
        "precision": precisions.pop() if len(precisions) == 1 else "32-true",
        "versions": {"torch": str(torch.__version__), "python": platform.python_version()},
    }


def _check_different(files: Sequence[Path]) -> None:
    seen = set()
    for file in files:
        if (place := file.resolve()) in seen:
            raise DigitsError(f"{file} is named twice; name each member of an ensemble once")
        seen.add(place)
