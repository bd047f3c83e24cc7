"""How examples are made up here: the same ones each time, however slow the machine is."""

from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from digits.errors import DigitsError

Result = TypeVar("Result")


def or_refused(function: Callable[..., Result], *arguments: Any) -> Result | None:
    """What a function returns; nothing if it refuses, which it must do in one line."""
    try:
        return function(*arguments)
    except DigitsError as error:
        message = str(error)
    assert message and "\n" not in message
    return None


def examples(number: int) -> settings:
    """So many examples of a test."""
    return settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        # A folder or a picture's file is written anew for each example.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


SCALARS: st.SearchStrategy[Any] = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6)),
    st.sampled_from([0, 1, -1, 0.5, 1e308, 10**30, "finished", "nan", "${x}", "a=b", "", "[/x]"]),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
"""What JSON and YAML can hold."""
