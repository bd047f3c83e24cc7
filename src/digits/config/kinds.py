"""What a value on the command line can be: a whole number, a number, one of some words, a list."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from digits.files import MAX_NAME_LENGTH, slug


@dataclass(frozen=True)
class Kind:
    """A set of values.

    Args:
        words: what belongs to it, as it follows "must be".
        accepts: whether a value, as plain Python, belongs to it.
    """

    words: str
    accepts: Callable[[Any], bool]


def number(interval: str = "(-inf, inf)") -> Kind:
    """Finite numbers between two limits; of the interval `[0, 1)`, 0 is part and 1 is not."""
    low, high = (float(limit) for limit in interval[1:-1].split(","))

    def accepts(value: Any) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) == math.inf:
            return False
        above = value > low if interval[0] == "(" else value >= low
        return above and (value < high if interval[-1] == ")" else value <= high)

    words = f" in {interval}" if high < math.inf else ""
    if low > -math.inf and not words:
        words = f" {'above' if interval[0] == '(' else 'of at least'} {low:g}"
    return Kind(f"a number{words}", accepts)


def whole(interval: str = "[0, inf)") -> Kind:
    """Whole numbers between two limits."""
    kind = number(interval)
    words = kind.words.replace("a number", "a whole number")
    return Kind(words, lambda value: isinstance(value, int) and kind.accepts(value))


def one_of(*options: Any) -> Kind:
    """A few values, told apart by their type too: 1 is not true."""

    def accepts(value: Any) -> bool:
        return any(type(value) is type(option) and value == option for option in options)

    words = ", ".join(shown(option) for option in options)
    return Kind(f"one of {words}" if len(options) > 1 else words, accepts)


def list_of(kind: Kind, length: int | None = None) -> Kind:
    """Lists of at least one value, or of `length` values, all of a kind."""

    def accepts(value: Any) -> bool:
        fits = isinstance(value, list) and len(value) == (length or max(1, len(value)))
        return fits and all(kind.accepts(item) for item in value)

    return Kind(f"a list of {length or 'one or more'} values, each {kind.words}", accepts)


def any_of(*kinds: Kind) -> Kind:
    """Values of any of the kinds."""
    words = " or ".join(kind.words for kind in kinds)
    return Kind(words, lambda value: any(kind.accepts(value) for kind in kinds))


def _is_folder_name(value: Any) -> bool:
    plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return plain and str(value) != "" and slug(str(value)) == str(value)


TEXT = Kind("text", lambda value: isinstance(value, str) and value.strip() != "")
FOLDER_NAME = Kind(
    f"1 to {MAX_NAME_LENGTH} letters, digits or any of .,_+- (neither . nor - at an end)",
    _is_folder_name,
)
TARGET = Kind(
    "a mapping with a _target_",
    lambda value: isinstance(value, Mapping) and isinstance(value.get("_target_"), str),
)


def shown(value: Any) -> str:
    """Returns the value as one would type it, on one line, cut where it is long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value).replace(" ", "") if isinstance(value, list) else str(value)
    text = re.sub(r"\s+", " ", text) if text.strip() else repr(text)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"
