"""Files that are written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a temporary file beside `path`, which takes its place once the block has ended well.

    Nobody sees a half-written file under the final name, not even after a power cut: the bytes are
    flushed to the disk before the name changes. The temporary file is in the same folder because a
    rename is atomic within a file system only.

    Args:
        path: the final name, in an existing folder; an older file is replaced.

    Raises:
        OSError: it cannot be written, e.g. because the disk is full. Nothing is left behind, and an
            older file stays.
    """
    descriptor, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}.part-", suffix=path.suffix
    )
    temporary = Path(name)
    try:
        yield temporary
        os.fsync(descriptor)
        temporary.chmod(0o644)  # mkstemp lets only the owner read
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Writes bytes to `path`, whole or not at all; see `whole_file`."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def remove_parts(folder: Path) -> None:
    """Deletes what processes that were killed had half written to `folder`."""
    for part in folder.glob(".*.part-*"):
        part.unlink(missing_ok=True)
