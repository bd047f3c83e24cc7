"""The table of limits, put to the default configuration, and the kinds that it is made of."""

from collections.abc import Iterator
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser

from digits.config.check import check_values, find, plain, put
from digits.config.kinds import list_of, number, one_of, whole
from digits.text import typed
from digits.config.resolvers import register_resolvers
from digits.config.rules import RULES
from digits.errors import DigitsError

from .conftest import ROOT

WRONG = [
    ("optim.lr=0", "got 0; try optim.lr=0.001"),
    ("optim.lr=nan", "got nan; try optim.lr=0.001"),
    ("optim.lr=inf", "got inf; try optim.lr=0.001"),
    ("optim.lr=true", "got true; try optim.lr=0.001"),
    ("optim.weight_decay=-1", "try optim.weight_decay=0.01"),
    ("optim.fused=maybe", "try optim.fused=true"),
    ("optim.momentum=1.5", "in [0, 1), got 1.5; try optim.momentum=0.9"),
    ("data.batch_size=0", "of at least 1, got 0; try data.batch_size=64"),
    ("data.val_size=0", "in [1, 59999], got 0; try data.val_size=5000"),
    ("data.train_size=0", "got 0; try data.train_size=null"),
    ("data.source=x", "one of auto, local, download, sample, got x; try data.source=auto"),
    ("data.dir=", "try data.dir=data"),
    ("seed=-1", "in [0, 4294967295], got -1; try seed=0"),
    ("seed=abc", "got abc; try seed=0"),
    ("model.hidden=[0]", "got [0]; try model.hidden=[128,64]"),
    ("model.hidden=[128,-1]", "got [128,-1]; try model.hidden=[128,64]"),
    ("model.dropout_rate=-0.1", "got -0.1; try model.dropout_rate=0.2"),
    ("norm.std=0", "above 0, got 0; try norm.std=0.5"),
    ("trainer.max_epochs=-3", "of at least 1, got -3; try trainer.max_epochs=10"),
    ("trainer.accelerator=foo", "got foo; try trainer.accelerator=auto"),
    ("trainer.devices=0", "got 0; try trainer.devices=1"),
    ("trainer.gradient_clip_val=-1", "got -1; try trainer.gradient_clip_val=1.0"),
    ("trainer.accumulate_grad_batches=0", "try trainer.accumulate_grad_batches=1"),
    ("trainer.limit_train_batches=-1", "try trainer.limit_train_batches=10"),
    ("trainer.deterministic=maybe", "try trainer.deterministic=false"),
    ("trainer.profiler=foo", "got foo; try trainer.profiler=simple"),
    ("callbacks.checkpoint.mode=maximum", "got maximum; try callbacks.checkpoint.mode=max"),
    ("name=..", "got ..; try name=my-run"),
]

RIGHT = [
    *("optim.lr=1e-3", "optim.lr=1", "optim.betas=[0,0.5]", "optim.fused=null", "seed=null"),
    *("seed=4294967295", "data.train_size=54999", "data.val_size=59999", "norm.mean=null"),
    *("norm.mean=-1", "model.hidden=[1]", "model.dropout_rate=0", "trainer.devices=auto"),
    *("trainer.devices=-1", "trainer.devices=[0,2]", "trainer.precision=16", "name=7"),
    *("trainer.limit_train_batches=0.5", "trainer.limit_train_batches=3", "name=a_b-c.d+e"),
    *("trainer.deterministic=warn", "model.my_own_option=-1", "callbacks.checkpoint.monitor=null"),
]


@pytest.fixture(scope="module")
def default() -> Iterator[dict[str, Any]]:
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        yield plain(config)
    HydraConfig.instance().cfg = None


def with_values(values: dict[str, Any], overrides: str) -> dict[str, Any]:
    parsed = OverridesParser.create().parse_overrides(overrides.split())
    return put(values, {each.key_or_group: each.value() for each in parsed})


@pytest.mark.parametrize(("overrides", "expected"), WRONG, ids=[line for line, _ in WRONG])
def test_a_value_out_of_its_range_is_refused_with_a_remedy(
    default: dict[str, Any], overrides: str, expected: str
) -> None:
    with pytest.raises(DigitsError) as refused:
        check_values(with_values(default, overrides))

    assert expected in str(refused.value)
    assert str(refused.value).startswith(f"{overrides.partition('=')[0]} must be ")


@pytest.mark.parametrize("overrides", RIGHT)
def test_a_value_in_its_range_passes(default: dict[str, Any], overrides: str) -> None:
    check_values(with_values(default, overrides))


@pytest.mark.parametrize("rule", RULES, ids=[rule.key for rule in RULES])
def test_what_a_rule_advises_is_allowed_by_it(rule: Any) -> None:
    (parsed,) = OverridesParser.create().parse_overrides([f"key={rule.remedy}"])

    assert rule.kind.accepts(parsed.value())


def test_an_interval_is_open_or_closed_as_its_brackets_say() -> None:
    assert [number("[0, 1)").accepts(value) for value in (0, 0.5, 1)] == [True, True, False]
    assert [number("(0, 1]").accepts(value) for value in (0, 0.5, 1)] == [False, True, True]
    assert not any(number().accepts(value) for value in (float("nan"), float("inf"), True, "1"))


def test_a_whole_number_is_neither_a_fraction_nor_a_truth_value() -> None:
    assert whole().accepts(10**30)
    assert not any(whole().accepts(value) for value in (1.0, True, -1, "1", None))


def test_one_and_true_are_two_values() -> None:
    assert not one_of(True, False).accepts(1)
    assert not one_of(1, 2).accepts(True)


def test_a_list_has_its_length_and_all_its_values_are_of_a_kind() -> None:
    assert list_of(whole()).accepts([1, 2, 3])
    assert not any(list_of(whole()).accepts(value) for value in ([], [1, "2"], 1, "12", None))
    assert not list_of(whole(), length=2).accepts([1])


def test_a_value_is_shown_as_one_types_it() -> None:
    typed = [typed(value) for value in (None, True, [128, 64], "a\nb", "", 0.1)]
    assert typed == ["null", "true", "[128,64]", "a b", "''", "0.1"]
    assert len(typed(1000 * "x")) < 70


def test_a_star_stands_for_any_one_name() -> None:
    values = {"callbacks": {"a": {"mode": "min"}, "b": {"mode": "max"}, "c": {}}}
    assert dict(find(values, "callbacks.*.mode")) == {
        "callbacks.a.mode": "min",
        "callbacks.b.mode": "max",
    }
    assert not dict(find(values, "optim.lr"))
