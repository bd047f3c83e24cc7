"""Run directories found and read."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_runs import LABELS, make_run

from digits.comparison.run import read_run
from digits.errors import DigitsError
from digits.runs import find_runs


def test_runs_are_found_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = ["0_adam", "2_sgd", "10_adam"]
    for name in reversed(names):
        make_run(tmp_path / "sweeps" / "lr" / name)
    found = find_runs([tmp_path])
    assert [path.name for path in found] == names


def test_the_same_run_twice_counts_once(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    (tmp_path / "link").symlink_to(run)
    assert find_runs([run, tmp_path, tmp_path / "link", run / ".." / "a"]) == [run]


def test_a_folder_without_runs_is_an_error(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    (tmp_path / "b" / ".hidden").mkdir(parents=True)
    make_run(tmp_path / "b" / ".hidden" / "run")
    for folder in ("b", "c"):
        with pytest.raises(DigitsError, match=rf"{folder}.*; try a run or sweep directory"):
            find_runs([tmp_path / "a", tmp_path / folder])


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "a", seed=3, num_wrong=7, values={"optim.lr": 0.01}))
    assert run.seed == 3
    assert run.correct.sum() == len(LABELS) - 7
    assert run.options["optim.lr"] == 0.01 and run.options["dataset"] == "mnist"
    assert run.overridden == {"optim.lr", "seed"}
    assert run.choices == {"model": "baseline", "optim": "adam", "norm": "half"}
    assert [row["val/loss"] for row in run.history] == pytest.approx([0.8, 0.7])


def test_what_cannot_change_a_result_is_not_an_option(tmp_path: Path) -> None:
    values = {"data.dir": "elsewhere", "trainer.profiler": "simple", "name": "b", "resume": "must"}
    first = read_run(make_run(tmp_path / "a"))
    second = read_run(make_run(tmp_path / "b", seed=1, values=values))
    assert first.options == second.options
    assert "trainer.max_epochs" in first.options


def test_an_unfinished_run_says_why(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    (run / "metrics.json").unlink()
    with pytest.raises(DigitsError, match=r"^not finished \(there is no metrics.json\)"):
        read_run(run)
    (run / "status.json").write_text('{"status": "failed", "reason": "the loss diverged"}')
    with pytest.raises(DigitsError, match=r"^not finished \(failed: the loss diverged\)"):
        read_run(run)


def test_a_run_that_is_being_gone_on_with_is_not_finished(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", values={"trainer.max_epochs": 9}, max_epochs=2)
    with pytest.raises(DigitsError, match=r"not finished \(it goes on from 2 epochs to 9\)"):
        read_run(run)


def test_the_configuration_is_what_was_run_and_not_what_was_refused_later(tmp_path: Path) -> None:
    refused = make_run(tmp_path / "a", values={"optim.lr": 5}, choices={"model": "dropout"})
    true = {"optim": {"lr": 0.001}, "trainer": {"max_epochs": 2}}
    (refused / "status.json").write_text(json.dumps({"status": "finished", "config": true}))
    run = read_run(refused)
    assert run.options == {"optim.lr": 0.001, "trainer.max_epochs": 2, "dataset": "mnist"}
    assert not run.choices and not run.overridden


def scratch(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100] + b"\n\x01: [")


@pytest.mark.parametrize("damage", [Path.unlink, scratch])
@pytest.mark.parametrize("file", ["predictions.npz", ".hydra/config.yaml", "metrics.csv"])
def test_a_missing_or_damaged_file_is_named(
    tmp_path: Path, file: str, damage: Callable[[Path], None]
) -> None:
    run = make_run(tmp_path / "a")
    damage(run / file)
    with pytest.raises(DigitsError, match=Path(file).name.replace(".", r"\.")):
        read_run(run)


def test_predictions_of_another_test_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", num_wrong=40)
    sure = np.ones(len(LABELS), np.float16)
    np.savez(run / "predictions.npz", labels=LABELS, predicted=LABELS, confidence=sure)
    with pytest.raises(DigitsError, match=r"predictions.npz is of another test than metrics.json"):
        read_run(run)
