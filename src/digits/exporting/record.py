"""What an exported file says of itself."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import digits
from digits.artifact import TrainedClassifier
from digits.exporting.formats import INPUTS

KEY = "digits"
"""The name of the JSON document in a file's metadata."""


def as_json(
    model: TrainedClassifier, kinds: Sequence[str], default: Callable[[Any], Any] | None = None
) -> str:
    """Returns the model's record (class, arguments, normalization, classes, dataset, ...) as JSON.

    Floats keep all their digits. Two keys are added: `digits`, the version that exported it, and
    `input`, the pixels that the file takes.

    Args:
        model: the model.
        kinds: the pixels that the file takes: "floats", "bytes" or both.
        default: makes something plain of what JSON has no word for.

    Raises:
        TypeError: the record holds something that JSON has no word for, and there is no `default`.
    """
    more = {"digits": digits.__version__, "input": " or ".join(INPUTS[kind] for kind in kinds)}
    return json.dumps(model.record | more, default=default)
