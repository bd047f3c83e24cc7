"""The names that a mistyped name is near to."""

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from typing import Any

NEAR = 0.6
"""difflib's own limit: share of the letters that two names have in common."""


def nearest(name: str, names: Iterable[str], limit: int = 3) -> list[str]:
    """Returns up to `limit` names, nearest first; none if no name is near.

    Dotted names are near, too, if their last parts are: `lr` or `model.lr` to `optim.lr`.
    """
    scores = {other: likeness(name, other) for other in names}
    best = sorted(
        (other for other in scores if scores[other] >= NEAR), key=lambda other: -scores[other]
    )
    return [other for other in best[:limit] if scores[other] > scores[best[0]] - 0.05]


def likeness(name: str, other: str) -> float:
    """Returns how alike two dotted names are, from 0 to 1."""
    whole = _ratio(name, other)
    last = _ratio(name.rpartition(".")[2], other.rpartition(".")[2])
    # What follows the last dot is what was meant; what stands before it decides between equals.
    mostly_last = 0.9 * last + 0.1 * whole
    return mostly_last if name.count(".") == other.count(".") else max(whole, mostly_last)


def suggestion(
    name: str, names: Iterable[str], form: str = "{}", valid: Iterable[str] | None = None
) -> str:
    """Returns what to type instead of a mistyped name: the nearest names, or else all of them.

    Args:
        name: as it was typed.
        names: what it may be near to.
        form: how a name is typed, e.g. "model={}".
        valid: what is listed if none is near; by default, `names`.
    """
    names = list(names)
    near = [form.format(other) for other in nearest(name, names)]
    if near:
        return f"try {' or '.join(near)}"
    return f"valid: {', '.join(sorted(names if valid is None else valid)) or 'none'}"


def leaves(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns all values but mappings by their dotted keys, without those like `_target_`."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= leaves(value, f"{prefix}{name}.")
        elif not str(name).startswith("_"):
            found[f"{prefix}{name}"] = value
    return found


def _ratio(name: str, other: str) -> float:
    return SequenceMatcher(None, name.lower(), other.lower(), autojunk=False).ratio()
