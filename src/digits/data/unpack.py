"""Unpacking a gzip file in memory, and writing it to the disk in one piece."""

import zlib

import numpy as np

_INFLATE_BYTES = 1 << 16


class DamagedError(Exception):
    """A copy that is not the published file; the message says what is wrong with it."""


def unpack(packed: bytes, num_bytes: int) -> np.ndarray:
    """Unpack a gzip file in memory.

    Args:
        packed: The whole .gz file.
        num_bytes: Size of its content in bytes; no more than that is ever allocated.

    Returns:
        The content: uint8 array of shape `(num_bytes,)`.

    Raises:
        DamagedError: If it is not a gzip file, is cut, or has another size or checksum inside.
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
                raise DamagedError(f"holds more than {num_bytes:,} bytes")
            content[filled : filled + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
            filled += len(piece)
    except zlib.error as error:
        raise DamagedError(f"cannot be unpacked ({error})") from error
    if filled < num_bytes or not inflater.eof:
        raise DamagedError(f"is cut: {filled:,} of {num_bytes:,} bytes can be unpacked")
    return content
