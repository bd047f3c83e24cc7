"""The IDX file format, in which MNIST is published."""

import math

import numpy as np

from digits.errors import DigitsError

UINT8 = 0x08
GZIP_MAGIC = b"\x1f\x8b"

Bytes = bytes | bytearray | memoryview | np.ndarray


def parse_idx(content: Bytes, expected_ndim: int | None = None) -> np.ndarray:
    """Read the unsigned bytes of an IDX file: labels (1 dimension) or images (3 dimensions).

    Source: http://yann.lecun.com/exdb/mnist/, "The IDX file format". Two zero bytes, the type
    (0x08: unsigned byte), the number of dimensions, each dimension as a big-endian uint32, then
    the values in row-major order.

    Args:
        content: The whole unpacked file; an array must be one-dimensional uint8.
        expected_ndim: 1 for labels, 3 for images, None for either.

    Returns:
        uint8 array of shape `(n,)` or `(n, rows, columns)`. It shares the memory of `content`, and
        can be written to only if `content` can.

    Raises:
        DigitsError: If `content` is not such a file, or is longer or shorter than its header says.
    """
    data = np.frombuffer(content, dtype=np.uint8) if len(content) else np.empty(0, np.uint8)
    if data[:2].tobytes() == GZIP_MAGIC:
        raise DigitsError("not an IDX file but a gzipped one; unpack it with gunzip")
    if len(data) < 4:
        raise DigitsError(f"not an IDX file: {len(data)} bytes are too few for its magic number")
    magic = int.from_bytes(data[:4].tobytes(), "big")
    element_type, ndim = magic >> 8, magic & 0xFF
    if element_type != UINT8 or ndim not in (1, 3):
        raise DigitsError(
            f"not an IDX file of labels or images: its magic number is 0x{magic:08X}, "
            "expected 0x00000801 (labels) or 0x00000803 (images)"
        )
    if expected_ndim is not None and ndim != expected_ndim:
        raise DigitsError(f"IDX file has {ndim} dimensions, expected {expected_ndim}")
    header_bytes = 4 + 4 * ndim
    if len(data) < header_bytes:
        raise DigitsError(f"IDX file ends within its {header_bytes}-byte header")
    header = data[4:header_bytes].tobytes()
    shape = [int.from_bytes(header[i : i + 4], "big") for i in range(0, len(header), 4)]
    # Python's integers do not overflow, so a header of huge dimensions is caught here as well.
    num_values = math.prod(shape)
    if num_values == 0:
        raise DigitsError(f"IDX file is empty: its shape is {tuple(shape)}")
    if len(data) - header_bytes != num_values:
        raise DigitsError(
            f"IDX file has {len(data) - header_bytes:,} values after its header, expected "
            f"{num_values:,} for shape {tuple(shape)}"
        )
    return data[header_bytes:].reshape(shape)
