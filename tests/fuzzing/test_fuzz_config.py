"""Any value as that of any key."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from made_up import SCALARS, VALUES, examples, or_refused

from digits.config.check import find, put
from digits.config.kinds import FOLDER_NAME, TARGET, TEXT, any_of, list_of, number, one_of, whole
from digits.text import typed
from digits.config.rules import RULES
from digits.config.targets import check_name, check_targets, targets
from digits.files import MAX_NAME_LENGTH, slug

INTERVALS = [
    f"{left}{limits}{right}" for limits in ("0, 1", "-3, 5") for left in "([" for right in ")]"
]
KINDS = [rule.kind for rule in RULES] + [TEXT, FOLDER_NAME, TARGET, list_of(whole(), length=2)]


@given(st.sampled_from(KINDS), VALUES)
@examples(300)
def test_a_kind_answers_for_any_value(kind: Any, value: Any) -> None:
    assert kind.accepts(value) in (True, False)
    assert "\n" not in typed(value)


@given(st.sampled_from(INTERVALS), st.integers(-9, 9) | st.floats(-9, 9) | SCALARS)
@examples(200)
def test_a_number_is_accepted_if_it_lies_between_the_limits(interval: str, value: Any) -> None:
    low, high = (float(limit) for limit in interval[1:-1].split(","))
    inside = type(value) in (int, float) and low <= value <= high
    at_an_open_end = (interval[0] == "(" and value == low) or (
        interval[-1] == ")" and value == high
    )
    expected = inside and not at_an_open_end
    assert number(interval).accepts(value) == expected
    assert whole(interval).accepts(value) == (expected and type(value) is int)


@given(st.lists(SCALARS, min_size=1, max_size=4), VALUES)
@examples(200)
def test_one_of_some_values_is_accepted_and_no_other(options: list[Any], value: Any) -> None:
    kind = any_of(one_of(*options), list_of(one_of(*options)))
    is_option = any(type(value) is type(each) and value == each for each in options)
    is_list = isinstance(value, list) and bool(value)
    assert kind.accepts(value) or not is_option
    assert not kind.accepts(value) or is_option or is_list
    assert isinstance(kind.words, str)


@given(st.text(max_size=300))
@examples(200)
def test_a_slug_is_a_folder_name_or_nothing(text: str) -> None:
    name = slug(text)
    assert len(name) <= MAX_NAME_LENGTH
    assert slug(name) == name
    assert not name or FOLDER_NAME.accepts(name)


@given(VALUES)
@examples(200)
def test_any_configuration_can_be_searched_and_checked(values: Any) -> None:
    for rule in RULES:
        assert all(isinstance(key, str) for key, _ in find({"callbacks": values}, rule.key))
    or_refused(check_targets, {"model": values})


@given(st.one_of(SCALARS, st.from_regex(r"[a-z_.]{1,20}", fullmatch=True)))
@examples(300)
def test_any_name_of_a_class_is_allowed_or_refused(name: Any) -> None:
    or_refused(check_name, "model._target_", name)


@given(VALUES, st.sampled_from(["a", "a.b", "a.b.c", "x.y"]), VALUES)
@examples(200)
def test_a_target_is_found_wherever_it_is_put(values: Any, key: str, inner: Any) -> None:
    whole_config = put({"z": values}, {key: {"_target_": "os.system", "x": inner}})
    assert key in [found for found, _ in targets(whole_config)]
