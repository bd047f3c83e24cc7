"""Any bytes as an IDX file."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from made_up import examples, or_refused

from digits.data.idx import parse_idx


@st.composite
def idx_files(draw: st.DrawFn) -> bytes:
    """Files as the format's description has them, written by hand."""
    shape = draw(st.one_of(*(st.lists(st.integers(1, 5), min_size=n, max_size=n) for n in (1, 3))))
    number = math.prod(shape)
    values = draw(st.binary(min_size=number, max_size=number))
    header = bytes([0, 0, 8, len(shape)]) + b"".join(each.to_bytes(4, "big") for each in shape)
    return header + values


def as_file(parsed: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, parsed.ndim])
    return header + b"".join(n.to_bytes(4, "big") for n in parsed.shape) + parsed.tobytes()


def check(content: bytes, ndim: int | None) -> None:
    parsed = or_refused(parse_idx, content, ndim)
    if parsed is None:
        return
    assert parsed.dtype == np.uint8
    assert parsed.size > 0
    assert as_file(parsed) == content


NDIMS = st.sampled_from([None, 1, 3])
STARTS = st.sampled_from([b"", b"\0\0\x08", b"\0\0\x08\x01", b"\0\0\x08\x03\0\0\0", b"\x1f\x8b"])


@given(idx_files())
@examples(100)
def test_a_file_is_read_back(content: bytes) -> None:
    assert as_file(parse_idx(content)) == content


@given(STARTS, st.binary(max_size=40), NDIMS)
@examples(300)
def test_any_bytes_are_read_or_refused(start: bytes, rest: bytes, ndim: int | None) -> None:
    check(start + rest, ndim)


@given(idx_files(), st.integers(0, 200), st.binary(max_size=3), NDIMS)
@examples(200)
def test_a_cut_or_lengthened_file_is_refused(
    content: bytes, keep: int, more: bytes, ndim: int | None
) -> None:
    check(content[:keep] + more, ndim)


@given(idx_files(), st.integers(0, 15), st.integers(0, 255), NDIMS)
@examples(300)
def test_a_flipped_byte_of_the_header_is_noticed_or_harmless(
    content: bytes, place: int, value: int, ndim: int | None
) -> None:
    changed = bytearray(content)
    changed[place % len(changed)] = value
    check(bytes(changed), ndim)
