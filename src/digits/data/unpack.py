"""Unpacking a gzip file in memory, and writing it to the disk in one piece."""

import os
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np

_INFLATE_BYTES = 1 << 16


class Damaged(Exception):
    """A copy that is not the published file; the message says what is wrong with it."""


def unpack(packed: bytes, num_bytes: int) -> np.ndarray:
    """Unpack a gzip file in memory.

    Args:
        packed: The whole .gz file.
        num_bytes: Size of its content in bytes; no more than that is ever allocated.

    Returns:
        The content: uint8 array of shape `(num_bytes,)`.

    Raises:
        Damaged: If it is not a gzip file, is cut, or has another size or checksum inside.
    """
    # Filled piece by piece: as bytes, zlib's own result could not be handed on without a copy.
    content = np.empty(num_bytes, dtype=np.uint8)
    inflater = zlib.decompressobj(wbits=31)
    filled = 0
    try:
        for start in range(0, len(packed), _INFLATE_BYTES):
            remaining = num_bytes - filled
            piece = inflater.decompress(packed[start : start + _INFLATE_BYTES], remaining + 1)
            if len(piece) > remaining:
                raise Damaged(f"holds more than {num_bytes:,} bytes")
            content[filled : filled + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
            filled += len(piece)
    except zlib.error as error:
        raise Damaged(f"cannot be unpacked ({error})") from error
    if filled < num_bytes or not inflater.eof:
        raise Damaged(f"is cut: {filled:,} of {num_bytes:,} bytes can be unpacked")
    return content


def write_whole(content: np.ndarray, path: Path) -> None:
    """Write a file so that no one ever sees it half-written.

    Args:
        content: What to write: contiguous uint8 array.
        path: The file's final name, in an existing folder; an older file is replaced.

    Raises:
        OSError: If it cannot be written. Nothing is left behind then.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content.data)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp lets only the owner read, but data folders are shared.
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
