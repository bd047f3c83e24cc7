"""Files written whole or not at all, names for them, and nested values under dotted keys."""

import copy
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

MAX_NAME_LENGTH = 100
"""File systems allow 255 bytes; TensorBoard and `ls` are readable up to about this many."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`, which takes its place once the block has ended well.

    Nobody sees a half-written file under the final name, not even after a power cut: the bytes are
    flushed to the disk before the name changes. After an error nothing is left behind, and an older
    file stays. The folder is the same because a rename is atomic within a file system only.
    """
    descriptor, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}.part-", suffix=path.suffix
    )
    os.close(descriptor)  # Windows renames no open file
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp lets only the owner read
        temporary.replace(path)
    except BaseException as error:
        if isinstance(error, OSError):
            error.filename = str(path)  # of a full disk, Python does not say it
        with suppress(OSError):
            temporary.unlink()
        raise


def write_atomically(path: Path, content: bytes | memoryview | str) -> None:
    """Write bytes, or text as UTF-8, to `path`, whole or not at all; see `whole_file`."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def remove_parts(*paths: Path) -> None:
    """Delete what `whole_file` had half written of these files when its process was killed."""
    for path in paths:
        for part in path.parent.glob(f".{path.name}.part-????????{path.suffix}"):
            part.unlink(missing_ok=True)


def cache_folder() -> Path | None:
    """Return where what can be made again is kept; `None` if the user has no home."""
    import pooch  # type: ignore[import-untyped]

    try:
        folder = Path(pooch.os_cache("digits"))
    except RuntimeError:
        return None
    return folder if folder.is_absolute() else None  # of older releases of platformdirs


def relative(path: Path) -> Path:
    """Return the path as one would type it in the working directory."""
    path, here = path.absolute(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def slug(text: str) -> str:
    """Make a file name of `text`: letters, digits and `.,_+-` stay, the rest becomes `-`.

    A name that is too long is cut and ends with a part of the whole text's SHA-256, so that two
    long names stay different.
    """
    name = re.sub(r"[^A-Za-z0-9.,_+-]+", "-", text).strip("-.")
    if len(name) > MAX_NAME_LENGTH:
        name = f"{name[: MAX_NAME_LENGTH - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name


def flat(values: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value that is not a mapping with its dotted key, e.g. ("optim.lr", 0.1)."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield from flat(value, f"{key}.{name}".lstrip("."))
    else:
        yield key, values


def has(values: Any, key: str) -> bool:
    """Say whether nested values have a dotted key."""
    try:
        get(values, key)
    except (KeyError, TypeError):
        return False
    return True


def get(values: Any, key: str) -> Any:
    """Return the value of a dotted key that nested values have."""
    for name in key.split("."):
        values = values[name]
    return values


def put(values: Mapping[str, Any], assigned: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of nested values with others put in by their dotted keys."""
    copied = copy.deepcopy(dict(values))
    for key, value in assigned.items():
        *parents, name = key.split(".")
        node = copied
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    return copied
