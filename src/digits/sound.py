"""Whether model.pt, which may be from anybody, holds what belongs there; loading ran no code."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from digits.errors import DigitsError

_PRECISION = re.compile(r"(16|32|64|bf16)-(true|mixed)")


def check_sound(path: Path, content: Mapping[str, Any]) -> None:
    """Checks the kinds of all parts but the network's own: those are checked by making it.

    Args:
        path: the file, for the message.
        content: what `digits.recorded.describe` returns, of a file.

    Raises:
        DigitsError: the first part that is none such as `describe` writes.
    """
    classes, split = content["classes"], content.get("split")
    sound = {
        "arguments": _is_named(content["arguments"]),
        "weights": _is_named(content["weights"]),
        "normalization": is_normalization(content["normalization"]),
        "classes": isinstance(classes, list) and [type(each) for each in classes] == 10 * [str],
        "dataset": isinstance(content.get("dataset"), str | None),
        "split": _is_split(split),
        "precision": bool(_PRECISION.fullmatch(str(content.get("precision", "32-true")))),
    }
    for name, is_sound in sound.items():
        if not is_sound:
            raise DigitsError(f"{path} is no model of digits: what it says of its {name} is wrong")


def _is_named(values: Any) -> bool:
    return isinstance(values, dict) and all(isinstance(name, str) for name in values)


def is_normalization(values: Any) -> bool:
    """Says whether these are a finite `mean` and a positive, finite `std`."""
    if not isinstance(values, dict):
        return False
    mean, std = values["mean"], values["std"]
    are_numbers = {type(mean), type(std)} <= {int, float}
    return are_numbers and math.isfinite(mean) and 0 < std < math.inf


def _is_split(values: Any) -> bool:
    if not isinstance(values, dict):
        return False
    kinds = {"val_size": int, "split_seed": int, "train_size": int | None, "val_sha256": str | None}
    return all(name in values and isinstance(values[name], kinds[name]) for name in kinds)
