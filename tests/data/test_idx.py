import random
from contextlib import suppress

import numpy as np
import pytest
from small_mnist import Values, idx_bytes

from digits.data.files import FILES
from digits.data.idx import parse_idx
from digits.errors import DigitsError

LABELS = np.arange(10, dtype=np.uint8)
IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


@pytest.mark.parametrize("values", [LABELS, IMAGES])
def test_a_written_file_is_read_back(values: Values) -> None:
    np.testing.assert_array_equal(parse_idx(idx_bytes(values), values.ndim), values)


def test_the_result_shares_the_memory_of_the_file() -> None:
    content = np.frombuffer(idx_bytes(IMAGES), dtype=np.uint8).copy()
    parsed = parse_idx(content)
    assert np.shares_memory(parsed, content)
    assert parsed.flags.writeable


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes are too few"),
        (b"\0\0\x08", "3 bytes are too few"),
        (b"\x1f\x8b\x08\0" * 9, "gzipped"),
        (b"<html></html>", "magic number is 0x3C68746D"),
        (b"\0\0\x0d\x01" + bytes(8), "magic number is 0x00000D01"),
        (b"\0\0\x08\x02" + bytes(8), "magic number is 0x00000802"),
        (b"\0\0\x08\x03" + bytes(11), "ends within its 16-byte header"),
        (b"\0\0\x08\x01" + bytes(4), "empty"),
        (b"\0\0\x08\x03" + bytes(4) + b"\xff" * 8, "empty"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "0 values after its header"),
        (idx_bytes(LABELS)[:-1], "9 values after its header, expected 10"),
        (idx_bytes(LABELS) + b"\0", "11 values after its header, expected 10"),
    ],
)
def test_a_malformed_file_is_explained(content: bytes, message: str) -> None:
    with pytest.raises(DigitsError, match=message):
        parse_idx(content)


def test_labels_are_not_taken_for_images() -> None:
    with pytest.raises(DigitsError, match="1 dimensions, expected 3"):
        parse_idx(idx_bytes(LABELS), expected_ndim=3)


def test_random_bytes_never_raise_anything_else() -> None:
    generator = random.Random(0)
    starts = [b"", b"\0\0\x08\x01", b"\0\0\x08\x03", b"\0\0\x08\x03\0\0\0", b"\0\0", b"\x1f\x8b"]
    good = [idx_bytes(LABELS), idx_bytes(IMAGES)]
    for _ in range(5_000):
        content = bytearray(generator.choice(starts) + generator.randbytes(generator.randrange(40)))
        if generator.random() < 0.5:
            content = bytearray(generator.choice(good))
            for _ in range(generator.randrange(1, 4)):
                content[generator.randrange(min(20, len(content)))] = generator.randrange(256)
            del content[generator.randrange(len(content) + 1) :]
        parsed = None
        with suppress(DigitsError):
            parsed = parse_idx(bytes(content), generator.choice([None, 1, 3]))
        assert parsed is None or idx_bytes(parsed) == content


def test_the_table_of_files_knows_the_sizes() -> None:
    sizes = {file.name: file.num_bytes for part in FILES.values() for file in vars(part).values()}
    assert sizes == {
        "train-images-idx3-ubyte": 47_040_016,
        "train-labels-idx1-ubyte": 60_008,
        "t10k-images-idx3-ubyte": 7_840_016,
        "t10k-labels-idx1-ubyte": 10_008,
    }
