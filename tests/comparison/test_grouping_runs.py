"""Runs put together over their seeds, and what the groups are called."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from made_runs import make_run
from scipy import stats

from digits.comparison.groups import group_runs
from digits.comparison.names import DEFAULT_CHOICES
from digits.comparison.run import read_run
from digits.statistics import student_interval

REPO = Path(__file__).parents[2]
IMPROVED = {"model": "dropout", "optim": "sgd", "norm": "exact"}

Made = dict[str, Any]


def names(folder: Path, *runs: Made) -> list[str]:
    made = [make_run(folder / str(place), **each) for place, each in enumerate(runs)]
    groups, left_out = group_runs([read_run(path) for path in made])
    assert not left_out
    return [group.name for group in groups]


def test_runs_that_differ_in_the_seed_only_are_one_group(tmp_path: Path) -> None:
    runs = [{"seed": seed, "values": {"data.dir": f"d{seed}"}} for seed in (2, 0, 1)]
    made = [read_run(make_run(tmp_path / str(run["seed"]), **run)) for run in runs]  # type: ignore[arg-type]
    ((group,), _) = group_runs(made)
    assert group.seeds == (0, 1, 2)
    assert group.train_time_s == 11


def test_a_repeated_seed_is_no_further_evidence(tmp_path: Path) -> None:
    runs = [read_run(make_run(tmp_path / name, seed=1)) for name in "ab"]
    ((group,), (left_out,)) = group_runs(runs)
    assert list(group.runs) == runs[:1]
    assert left_out.what == str(tmp_path / "b")
    assert left_out.reason == f"the same configuration and seed as {tmp_path / 'a'}"


@pytest.mark.parametrize(
    "other",
    [
        {"values": {"optim.lr": 0.1}},
        {"values": {"trainer.max_epochs": 5}},
        {"dataset": "mnist-sample-5k"},
        {"val_split_sha256": "other"},
        {"num_val": 49},
    ],
    ids=str,
)
def test_what_changes_a_result_makes_another_group(tmp_path: Path, other: Made) -> None:
    assert len(names(tmp_path, {}, {"seed": 1} | other)) == 2


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([{}, {"choices": IMPROVED}], ["baseline", "dropout+sgd+exact"]),
        (
            [{}, {"choices": {"model": "dropout"}}, {"choices": {"optim": "sgd"}}],
            ["baseline", "dropout", "baseline+sgd"],
        ),
        ([{}, {"choices": {"optim": "sgd"}}], ["adam", "sgd"]),
        (
            [{"choices": {"augment": "none"}}, {"choices": {"augment": "elastic"}}],
            ["augment=none", "elastic"],
        ),
        ([{"choices": IMPROVED}], ["dropout+sgd+exact"]),
        ([{}], ["baseline"]),
        ([{}, {"values": {"optim.lr": 0.01}}], ["baseline", "lr=0.01"]),
        (
            [{"values": {"optim.lr": 0.01}}, {"values": {"optim.lr": 0.1}}],
            ["lr=0.01", "lr=0.1"],
        ),
        (
            [{}, {"choices": {"model": "dropout"}, "values": {"model.hidden": [20, 10]}}],
            ["baseline", "dropout+hidden=[20,10]"],
        ),
        (
            [{"values": {"optim.rate": 1, "model.rate": 2}}, {}],
            ["model.rate=2+optim.rate=1", "baseline"],
        ),
        ([{}, {"dataset": "other"}], ["dataset=mnist", "dataset=other"]),
        ([{}, {"val_split_sha256": "other"}], ["baseline#1", "baseline#2"]),
    ],
    ids=lambda value: "" if isinstance(value[0], dict) else ",".join(value),
)
def test_a_name_says_what_differs_and_no_more(
    tmp_path: Path, runs: list[Made], expected: list[str]
) -> None:
    assert names(tmp_path, *runs) == expected


def test_what_goes_without_saying_is_what_the_configuration_does_by_default() -> None:
    defaults = yaml.safe_load((REPO / "conf" / "config.yaml").read_text())["defaults"]
    chosen = {
        key: value for each in defaults if isinstance(each, dict) for key, value in each.items()
    }
    assert {group: chosen[group] for group in DEFAULT_CHOICES} == DEFAULT_CHOICES


def test_the_interval_over_seeds_is_students() -> None:
    values = [0.975, 0.9755, 0.9741, 0.976]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert student_interval(values) == pytest.approx((expected.low, expected.high))
