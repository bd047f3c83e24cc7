"""How values, numbers and tables are written."""

import math
from typing import Any

import pytest
import yaml

from digits.text import (
    accuracy,
    duration,
    first_line,
    markdown_table,
    p_value,
    plural,
    points,
    similar,
    typed,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "true"),
        (0.001, "0.001"),
        ([16, [8, None]], "[16,[8,null]]"),
        ((0.9, 0.99), "[0.9,0.99]"),
        ("a\n  b", "a b"),
        ("", "''"),
        ("x" * 61, "x" * 40 + "... (61 characters)"),
    ],
    ids=repr,
)
def test_values_are_written_as_one_types_them(value: Any, expected: str) -> None:
    assert typed(value) == expected


@pytest.mark.parametrize("value", [None, False, 3, 0.25, "adam", [1, 2], [[0.5], None]])
def test_what_is_typed_is_read_as_the_same_value(value: Any) -> None:
    assert yaml.safe_load(typed(value)) == value


def test_accuracies_and_differences_are_in_percent() -> None:
    assert accuracy(0.97634, 0.00114) == "97.63% ± 0.11"
    assert accuracy(1.0) == "100.00%"
    assert accuracy(None) == accuracy(math.nan) == "-"
    assert [points(each) for each in (0.0031, -0.0031, -0.00001)] == ["+0.31", "-0.31", "+0.00"]


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (0.0, "p < 0.001"),
        (0.0021, "p = 0.002"),
        (0.032, "p = 0.032"),
        (0.0999, "p = 0.100"),
        (0.88, "p = 0.88"),
    ],
)
def test_p_is_never_written_as_zero(p: float, expected: str) -> None:
    assert p_value(p) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(4.23, "4.2 s"), (95, "95 s"), (101, "2 min"), (12600, "3.5 h")]
)
def test_durations(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_numbers_of_things() -> None:
    assert [plural(each, "seed") for each in (0, 1, 5000)] == ["0 seeds", "1 seed", "5,000 seeds"]


def test_an_errors_first_line_that_says_something() -> None:
    assert first_line(ValueError("\n  too large  \nmore")) == "too large"
    assert first_line(ValueError("In 'config':\n no such option")) == "In 'config': no such option"
    assert first_line(ValueError()) == ""


def test_slips_of_the_pen_are_recognized() -> None:
    assert similar("dropuot", ["baseline", "dropout", "cnn", "dropout"]) == ["dropout"]
    assert similar("xyz", ["baseline"]) == []


def test_a_markdown_table_takes_no_cell_for_a_mark() -> None:
    table = markdown_table(["group", "n"], [["a|b_c", "1"], ["[x]<y>\n*", "22"]], [False, True])
    assert table.splitlines() == [
        "| group | n |",
        "| --- | --: |",
        r"| a\|b\_c | 1 |",
        r"| \[x]\<y> \* | 22 |",
    ]
