"""Run directories: found, read, grouped and named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from made_runs import LABELS, make_run, set_status

from digits.errors import DigitsError
from digits.groups import DEFAULT_CHOICES, group_runs
from digits.model_file import read_model
from digits.run_directory import (
    FORMER_DEFAULTS,
    NO_EFFECT,
    Predictions,
    check_place,
    find_runs,
    finished_metrics,
    locked,
    read_history,
    read_predictions,
    read_run,
    write_history,
    write_predictions,
)

REPO = Path(__file__).parents[1]
IMPROVED = {"model": "dropout", "optim": "sgd", "norm": "exact"}

Made = dict[str, Any]


def test_runs_are_found_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = ["0_adam", "2_sgd", "10_adam"]
    for name in reversed(names):
        make_run(tmp_path / "sweeps" / "lr" / name)
    assert [path.name for path in find_runs([tmp_path])] == names


def test_the_same_directory_twice_is_found_once(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    assert find_runs([run, tmp_path, run / ".." / "a"]) == [run]


def test_a_folder_without_runs_is_an_error(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    make_run(tmp_path / "b" / ".hidden" / "run")
    for folder in ("b", "c"):
        with pytest.raises(DigitsError, match=rf"{folder}.*; try a run or sweep directory"):
            find_runs([tmp_path / "a", tmp_path / folder])


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "a", seed=3, num_wrong=7, values={"optim.lr": 0.01}))
    assert run.is_finished and run.status == "finished" and run.seed == 3
    assert run.predictions.correct.sum() == len(LABELS) - 7
    assert run.options["optim.lr"] == 0.01 and run.options["dataset"] == "mnist"
    assert run.overridden == ["optim.lr", "seed"]
    assert run.choices == {"model": "baseline", "optim": "adam", "norm": "half"}
    assert [row["val/loss"] for row in read_history(run.dir)] == pytest.approx([0.8, 0.7])
    assert (run.val_accuracy, run.test_accuracy) == (0.9, 1 - 7 / 400)


@pytest.mark.parametrize("status", ["", "running", "failed", "stopped", "pruned"])
def test_a_run_is_finished_if_its_status_says_so(tmp_path: Path, status: str) -> None:
    path = make_run(tmp_path / "a")
    assert finished_metrics(path) == json.loads((path / "metrics.json").read_text())
    set_status(path, status, "why\n  it ended")
    run = read_run(path)
    assert finished_metrics(path) is None and not run.is_finished and run.val_accuracy is None
    assert (run.status, run.reason) == (status, "why it ended")


@pytest.mark.parametrize(
    "file", ["model.pt", "metrics.json", "status.json", ".hydra/config.yaml", ".hydra/hydra.yaml"]
)
def test_what_is_missing_or_damaged_is_named(tmp_path: Path, file: str) -> None:
    path = make_run(tmp_path / "a")
    content = (path / file).read_bytes()
    if file == "model.pt":
        (path / file).unlink()
    else:
        (path / file).write_bytes(content[:100] + b"\n\x01: [")
    run = read_run(path)
    assert run.status == "damaged" and not run.is_finished
    assert Path(file).name in run.reason and "run the same command again" in run.reason


def test_a_file_that_may_not_be_read_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:  # root may read everything
        raise PermissionError(13, "Permission denied")

    path = make_run(tmp_path / "a")
    monkeypatch.setattr(Path, "read_text", refuse)
    run = read_run(path)
    assert run.status == "unreadable"
    assert run.reason == "status.json cannot be read (Permission denied)"
    monkeypatch.setattr("zipfile.ZipFile", refuse)
    with pytest.raises(DigitsError, match=r"model\.pt cannot be read \(Permission denied\)$"):
        read_model(path)


def test_the_configuration_is_what_was_run_and_not_what_was_refused_later(tmp_path: Path) -> None:
    refused = make_run(tmp_path / "a", values={"optim.lr": 5}, choices={"model": "dropout"})
    set_status(refused, "finished", config={"optim": {"lr": 0.001}, "trainer": {"max_epochs": 2}})
    run = read_run(refused)
    assert run.options == {"optim.lr": 0.001, "trainer.max_epochs": 2, "dataset": "mnist"}
    assert not run.choices and not run.overrides


def test_a_schedule_that_was_lengthened_is_another_training(tmp_path: Path) -> None:
    first, second = (make_run(tmp_path / name) for name in "ab")
    config = json.loads((second / "status.json").read_text())["config"]
    set_status(second, "finished", config=config, lengthened=[1, 2])
    assert len(group_runs([read_run(first), read_run(second)])) == 2


def test_history_and_predictions_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [{"epoch": 1, "val/loss": 0.5}, {"epoch": 2, "train/loss": 0.25, "val/loss": 1 / 3}]
    write_history(tmp_path, rows, ["epoch", "train/loss", "val/loss"])
    assert read_history(tmp_path) == rows
    confidence = np.linspace(0, 1, len(LABELS)).astype(np.float16)
    write_predictions(tmp_path, Predictions(LABELS, LABELS[::-1], confidence))
    found = read_predictions(tmp_path)
    assert np.array_equal(found.labels, LABELS) and np.array_equal(found.predicted, LABELS[::-1])
    assert np.array_equal(found.confidence, confidence)
    assert np.array_equal(found.correct, LABELS[::-1] == LABELS)


def test_predictions_are_numbers_and_not_pickles(tmp_path: Path) -> None:
    arrays: Made = dict.fromkeys(("predicted", "confidence"), np.zeros(3, np.uint8))
    np.savez(tmp_path / "predictions.npz", labels=np.array([Path()] * 3, dtype=object), **arrays)
    with pytest.raises(DigitsError, match=r"predictions\.npz is damaged"):
        read_predictions(tmp_path)


def test_a_locked_run_is_in_use(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(DigitsError, match=r"in use.*wait for it, or try another name"),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):
        pass


def names(folder: Path, *runs: Made) -> list[str]:
    made = [make_run(folder / str(place), **each) for place, each in enumerate(runs)]
    return [group.name for group in group_runs([read_run(path) for path in made])]


def test_runs_that_differ_in_the_seed_only_are_one_group(tmp_path: Path) -> None:
    runs = [read_run(make_run(tmp_path / str(seed), seed)) for seed in (2, 0, 1)]
    (group,) = group_runs(runs)
    assert group.seeds == (0, 1, 2)
    assert group.mean_std("train_time_s") == pytest.approx((11, 1))


@pytest.mark.parametrize("key", NO_EFFECT)
def test_options_that_change_no_result_make_no_group(tmp_path: Path, key: str) -> None:
    paths = [make_run(tmp_path / name, seed) for seed, name in enumerate("ab")]
    config = json.loads((paths[1] / "status.json").read_text())["config"]
    group, _, name = key.rpartition(".")
    (config.setdefault(group, {}) if group else config)[name] = {"other": "value"}
    set_status(paths[1], "finished", config=config)
    first, second = (read_run(path) for path in paths)
    assert first.options == second.options
    assert len(group_runs([first, second])) == 1


def test_a_class_that_another_release_has_elsewhere_is_the_same(tmp_path: Path) -> None:
    moved = {"model._target_": "digits.models.classifiers.BaselineClassifier"}
    assert len(names(tmp_path, {}, {"seed": 1, "values": moved})) == 1
    another = {"model._target_": "mine.BaselineClassifier"}
    assert len(names(tmp_path / "b", {}, {"seed": 1, "values": another})) == 2


@pytest.mark.parametrize(("key", "value"), FORMER_DEFAULTS.items())
def test_an_option_that_earlier_releases_lack_has_the_value_that_they_trained_with(
    tmp_path: Path, key: str, value: Any
) -> None:
    assert len(names(tmp_path, {}, {"seed": 1, "values": {key: value}})) == 1
    assert len(names(tmp_path / "b", {}, {"seed": 1, "values": {key: "other"}})) == 2


def test_options_that_draw_nothing_make_no_group(tmp_path: Path) -> None:
    final, folds = {"data.val_size": 0}, {"data.folds": 5}
    other = {"data.split": "writers", "data.split_seed": 1}
    assert len(names(tmp_path / "a", {"values": final}, {"seed": 1, "values": final | other})) == 1
    some = final | {"data.train_size": 100}
    drawn = [{"values": some | {"data.split_seed": seed}} for seed in (0, 1)]
    assert len(names(tmp_path / "b", *drawn)) == 2
    unused = {"seed": 1, "values": folds | {"data.val_size": 10}}
    assert len(names(tmp_path / "c", {"values": folds}, unused)) == 1
    assert len(names(tmp_path / "d", {"values": folds}, {"values": folds | other})) == 2


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
            ["baseline", "dropout", "sgd"],
        ),
        ([{"choices": {"optim": "adam"}}, {"choices": {"optim": "sgd"}}], ["adam", "sgd"]),
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


def test_the_choices_left_out_of_names_are_the_configurations_defaults() -> None:
    defaults = yaml.safe_load((REPO / "conf" / "config.yaml").read_text())["defaults"]
    chosen = {
        key: value for each in defaults if isinstance(each, dict) for key, value in each.items()
    }
    assert {group: chosen[group] for group in DEFAULT_CHOICES} == DEFAULT_CHOICES


@pytest.mark.parametrize(
    "name", ["model.pt", "metrics.json", "metrics.csv", "predictions.npz", "loss_curves.png"]
)
def test_a_folder_with_files_of_somebody_elses_is_not_written_to(name: str, tmp_path: Path) -> None:
    check_place(tmp_path)
    (tmp_path / name).write_text("mine")
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text("lr: 3")
    (tmp_path / "status.json").write_text('{"phase": 3}')
    with pytest.raises(DigitsError, match="is not a run directory; try another folder"):
        check_place(tmp_path)


def test_groups_are_called_by_their_experiments_and_not_by_what_these_stand_for(
    tmp_path: Path,
) -> None:
    for name, rate in {"short": 0.1, "gentle": 0.2}.items():
        hidden = {"model.noise": rate, "optim.weight_decay": rate / 10}
        run_dir = make_run(tmp_path / name, choices={"experiment": name}, values=hidden)
        (run_dir / ".hydra" / "overrides.yaml").write_text(f"[experiment={name}]")
    runs = [read_run(tmp_path / name) for name in ("short", "gentle")]
    assert [group.name for group in group_runs(runs)] == ["short", "gentle"]
