"""The search space, compared with what Hydra itself makes of its syntax."""

import math

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from digits.errors import DigitsError
from digits.search.rounding import rounded
from digits.search.space import Choices, Dimension, Numbers, dimension, num_values, values_of


def parse(line: str) -> Override:
    (override,) = OverridesParser.create().parse_overrides([line])
    return override


def read(line: str) -> Dimension:
    found = dimension(parse(line))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("k=interval(0,0.5)", Numbers(0.0, 0.5)),
        ("k=tag(log, interval(1e-4,1e-1))", Numbers(1e-4, 1e-1, log=True)),
        ("k=int(interval(16,256))", Numbers(16, 256, step=1)),
        ("k=tag(log, int(interval(16,256)))", Numbers(16, 256, step=1, log=True)),
        ("k=range(1,8,3)", Numbers(1, 7, step=3)),
        ("k=range(5,1,-1)", Numbers(2, 5, step=1)),
        ("k=shuffle(range(1,4))", Numbers(1, 3, step=1)),
        ("k=a,b", Choices(("a", "b"))),
        ("k=choice(adam,sgd)", Choices(("adam", "sgd"))),
        ("k=shuffle(a,b,c)", Choices(("a", "b", "c"))),
        ("k=[128,64],[512]", Choices(("[128,64]", "[512]"))),
        ("k=true,null,1.5", Choices(("True", "null", "1.5"))),
    ],
)
def test_each_form_is_the_space_that_hydra_documents(line: str, expected: Dimension) -> None:
    assert read(line) == expected


@pytest.mark.parametrize("line", ["k=1", "k=[1,2]", "k=word", "~k", "k={a:1}"])
def test_a_single_value_is_not_searched(line: str) -> None:
    assert dimension(parse(line)) is None


@pytest.mark.parametrize("line", ["range(1,9)", "range(1,9,3)", "range(0,0.5,0.1)", "a,b", "1,2,3"])
def test_all_values_are_those_that_hydras_own_sweeper_would_try(line: str) -> None:
    tried = [str(value) for value in values_of(read(f"k={line}")) or []]
    enumerated = list(parse(f"k={line}").sweep_string_iterator())
    assert len(tried) == num_values(read(f"k={line}"))
    if "." in line:
        assert [float(each) for each in tried] == pytest.approx([float(e) for e in enumerated])
    else:
        assert tried == enumerated


@pytest.mark.parametrize(
    "line",
    ["interval(0,0.5)", "tag(log,interval(0.0001,0.1))", "range(1,9,2)", "choice(a,b)"],
)
def test_a_space_is_shown_as_it_is_typed(line: str) -> None:
    assert read(f"k={read(f'k={line}')}") == read(f"k={line}")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("k=interval(1,0)", "is empty"),
        ("k=interval(1,1)", "is empty"),
        ("k=tag(log,interval(0,1))", "try tag(log, interval(0.001, 1))"),
        ("k=tag(log,range(2,9,2))", "steps have no logarithm"),
        ("k=tag(log,choice(a,b))", "choices have no logarithm"),
        ("k=tag(exp,interval(1,2))", "the tag exp means nothing here; try tag(log, ...)"),
    ],
)
def test_what_is_no_space_is_refused(line: str, told: str) -> None:
    with pytest.raises(DigitsError, match=r"try ") as refusal:
        dimension(parse(line))
    assert told in str(refusal.value)


@pytest.mark.parametrize(
    "space",
    [
        Numbers(0.0, 0.5),
        Numbers(0.999, 0.9999),
        Numbers(-3.0, 70_000.0),
        Numbers(1e-4, 1e-1, log=True),
        Numbers(0.00123456, 0.0012346, log=True),
    ],
)
def test_a_rounded_number_is_near_short_and_within_the_interval(space: Numbers) -> None:
    low, high = space.low, space.high
    values = [low + share / 997 * (high - low) for share in range(998)]
    if space.log:
        values = [min(high, low * (high / low) ** (share / 997)) for share in range(998)]
    for value in values:
        near = rounded(value, space)
        assert low <= near < high  # the upper limit is not part of an interval
        step = (high - low) / 1000
        assert abs(near - value) <= (min(step, value / 1000) if space.log else step) * 1.001
        assert near == low or len(f"{near:.17g}".rstrip("0")) > 0
        digits = max(4, 5 + math.ceil(math.log10(abs(near) / (high - low)))) if near else 1
        assert near == low or float(f"{near:.{digits}g}") == near


def test_steps_are_rid_of_their_noise_and_whole_numbers_stay() -> None:
    assert rounded(0.1 + 0.2, Numbers(0.1, 0.5, step=0.1)) == 0.3
    assert rounded(7, Numbers(1, 9, step=1)) == 7
    assert rounded("a", Choices(("a", "b"))) == "a"
