"""Limits of values, checked on the default configuration."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from digits.config.overrides import plain
from digits.config.resolvers import register_resolvers
from digits.config.schema import (
    CallbackOptions,
    Configuration,
    Group,
    check,
    read_search_options,
)
from digits.errors import DigitsError
from digits.files import put
from digits.text import nearest, typed

CONF = Path(__file__).parents[2] / "conf"

WRONG = [
    ("optim.lr=abc", "got abc; try optim.lr=0.001"),
    ("optim.lr=inf", "a finite number, got inf; try optim.lr=0.001"),
    ("optim.lr=true", "got true; try optim.lr=0.001"),
    ("data.train_size=0", "greater than or equal to 1, got 0; try data.train_size=null"),
    ("data.dir=", "must have at least 1 character, got ''; try data.dir=data"),
    ("seed=-1", "greater than or equal to 0, got -1; try seed=0"),
    ("model.hidden=[128,-1]", "got [128,-1]; try model.hidden=[128,64]"),
    ("trainer.devices=0", "1, or be auto or -1, or be a list, got 0; try trainer.devices=1"),
    ("trainer.limit_train_batches=2.0", "or be less than or equal to 1, got 2.0"),
    ("trainer.profiler=foo", "got foo; try trainer.profiler=simple"),
    ("callbacks.checkpoint.mode=maximum", "min or max, got maximum; try callbacks.checkpoint.mode"),
    ("name=..", "got ..; try name=my-run"),
]

RIGHT = [
    *("optim.lr=1e-3", "optim.lr=1", "optim.betas=[0,0.5]", "optim.fused=null", "seed=null"),
    *(
        "seed=4294967295",
        "data.train_size=54999",
        "data.val_size=59999",
        "data.val_size=0",
        "norm.mean=null",
    ),
    *("norm.mean=-1", "model.hidden=[1]", "model.dropout_rate=0", "trainer.devices=auto"),
    *("trainer.devices=-1", "trainer.devices=[0,2]", "trainer.precision=16", "name=7"),
    *("trainer.limit_train_batches=0.5", "trainer.limit_train_batches=3", "name=a_b-c.d+e"),
    *(
        "trainer.deterministic=warn",
        "model.my_own_option=-1",
    ),
    *("trainer.strategy={_target_:a.b}", "callbacks.checkpoint.save_last=link"),
    "model={_target_:mine.Net,hidden:3}",  # which means something else there
]


@pytest.fixture(scope="module")
def default() -> Iterator[dict[str, Any]]:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield plain(compose("config", return_hydra_config=True))


def with_values(values: dict[str, Any], overrides: str) -> dict[str, Any]:
    parsed = OverridesParser.create().parse_overrides(overrides.split())
    return put(values, {each.key_or_group: each.value() for each in parsed})


@pytest.mark.parametrize(("overrides", "expected"), WRONG, ids=[line for line, _ in WRONG])
def test_a_value_out_of_its_range_is_refused_with_a_remedy(
    default: dict[str, Any], overrides: str, expected: str
) -> None:
    with pytest.raises(DigitsError) as refused:
        check(with_values(default, overrides))

    assert expected in str(refused.value)
    assert str(refused.value).startswith(f"{overrides.partition('=')[0]} must ")


@pytest.mark.parametrize("overrides", RIGHT)
def test_a_value_in_its_range_passes(default: dict[str, Any], overrides: str) -> None:
    check(with_values(default, overrides))


def fields() -> Iterator[tuple[str, Any]]:
    """Yield each key of the schema, and what is advised in place of a wrong value."""
    groups: dict[str, type[Group]] = {"": Configuration, "callbacks.x.": CallbackOptions}
    for name, field in Configuration.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Group):
            groups[f"{name}."] = field.annotation
    for prefix, group in groups.items():
        for name, field in group.model_fields.items():
            yield f"{prefix}{name}", field.default


VALUES = [each for each in fields() if not isinstance(each[1], Group | dict)]


@pytest.mark.parametrize(("key", "remedy"), VALUES)
def test_what_is_advised_is_allowed_as_it_is_typed(key: str, remedy: Any) -> None:
    (parsed,) = OverridesParser.create().parse_overrides([f"key={typed(remedy)}"])

    Configuration.model_validate(put({}, {key: parsed.value()}))


SCALARS: st.SearchStrategy[Any] = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6)),
    st.sampled_from([0, 1, -1, 0.5, 1e308, 10**400, "nan", "${x}", "a=b", ""]),
)


@given(
    st.sampled_from([key for key, _ in VALUES]),
    SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=3), SCALARS),
)
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_any_value_is_accepted_or_refused_in_one_line(key: str, value: Any) -> None:
    values: dict[str, Any] = {
        "seed": 0,
        "test": True,
        "resume": "auto",
        "name": "a",
        "norm": {"mean": 0, "std": 1},
        "callbacks": {"x": {"_target_": "a.B"}},
        "data": {"_target_": "a.B", "batch_size": 1},
        "model": {"_target_": "digits.models.BaselineClassifier"},
        **{group: {"_target_": "a.B"} for group in ("optim", "schedule", "logger")},
        "trainer": {"_target_": "a.B", "accelerator": "cpu", "max_epochs": 1},
    }
    check(values)
    message = ""
    try:
        check(put(values, {key: value}))
    except DigitsError as error:
        message = str(error)
    assert "\n" not in message
    assert message.startswith(("callbacks.x", key)) or not message


def test_a_slip_is_near_to_the_key_of_its_group_first() -> None:
    keys = ["seed", "optim.lr", "data.split_seed", "optim.eps", "trainer.max_epochs"]
    assert nearest("lr", keys)[0] == "optim.lr"
    assert nearest("optim.lrr", keys)[0] == "optim.lr"
    assert nearest("sede", keys)[0] == "seed"
    assert nearest("max_epoch", keys)[0] == "trainer.max_epochs"
    assert nearest("nothing_like_it", keys) == []


SEARCH: dict[str, Any] = {
    "_target_": "hydra_plugins.digits_optuna.OptunaSweeper",
    "params": None,
    "n_trials": None,
    "sampler": "tpe",
    "seed": 0,
    "pruner": "median",
    "objectives": ["val/accuracy"],
    "n_jobs": None,
}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("n_trials", 0, "n_trials must be greater than or equal to 1, got 0; try"),
        ("sampler", "tpee", "sampler must be tpe, cmaes, gp, random or grid, got tpee; try"),
        ("objectives", [], "try hydra.sweeper.objectives=[val/accuracy]"),
        ("objectives", ["test/accuracy"], "or train_time_s, got [test/accuracy]; try"),
        ("n_trial", 3, "n_trial is not a key; try hydra.sweeper.n_trials=3"),
    ],
)
def test_options_of_a_search_have_limits_too(key: str, value: Any, expected: str) -> None:
    pytest.importorskip("optuna")
    assert read_search_options(SEARCH).objectives == ["val/accuracy"]
    with pytest.raises(DigitsError) as refused:
        read_search_options({**SEARCH, key: value})
    assert str(refused.value).startswith("hydra.sweeper.")
    assert expected in str(refused.value)


def test_a_search_whose_package_is_missing_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("digits.config.schema.find_spec", lambda _: None)
    with pytest.raises(DigitsError, match=r"needs the package optuna.*digits\[search\]"):
        read_search_options(SEARCH)
