"""Nested values under dotted keys."""

from collections.abc import Iterator, Mapping
from typing import Any


def flat(values: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yields each value that is no mapping with its dotted key, e.g. ("optim.lr", 0.1)."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield from flat(value, f"{key}.{name}".lstrip("."))
    else:
        yield key, values
