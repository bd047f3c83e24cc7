"""Hopeless trials are ended early, and not tested."""

import csv
import json
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import TrialState
from searches import SEARCH, TINY, trials_of
from support import train_here

from digits.errors import Pruned
from digits.search import study
from digits.search.pruning import Pruning
from digits.search.study import open_storage

ASKED = (
    *(*SEARCH, *TINY, "trainer.max_epochs=3", "schedule=constant", "name=pruned"),
    *("hydra.sweeper.sampler=grid", "optim.lr=0.01,0.011,1e-9"),
)


def test_a_hopeless_trial_ends_early_untested_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "NUM_STARTUP_TRIALS", 2)
    # Brute force draws the order; this seed leaves the hopeless rate for the last.
    ended = train_here(tmp_path, *ASKED, "hydra.sweeper.seed=1")
    assert ended.code == 0, ended.stderr
    sweep = tmp_path / "outputs" / "sweeps" / "pruned"
    trials = trials_of(sweep)
    assert [trial.state for trial in trials] == 2 * [TrialState.COMPLETE] + [TrialState.PRUNED]
    for trial in trials:
        (run_dir,) = sweep.glob(f"{trial.number}_*")
        with (run_dir / "metrics.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        measured = {int(row["epoch"]): float(row["val/accuracy"]) for row in rows}
        assert trial.intermediate_values == pytest.approx(measured)

    (run_dir,) = sweep.glob("2_*")
    assert list(trials[2].intermediate_values) == [1, 2]  # it ended after the second epoch of three
    assert "pruned after epoch 2 of 3" in ended.stdout
    status = json.loads((run_dir / "status.json").read_text())
    assert status["status"] == "pruned"
    assert status["reason"] == trials[2].user_attrs["reason"]
    for name in ("metrics.json", "model.pt", "predictions.npz"):
        assert not (run_dir / name).exists()
    assert "pruned" in (sweep / "leaderboard.csv").read_text()


@pytest.fixture
def sweep_dir(tmp_path: Path) -> Path:
    """Return the directory of a search with five trials that have ended, and a sixth that runs."""
    with open_storage(tmp_path) as storage:
        made = optuna.create_study(study_name=tmp_path.name, storage=storage, direction="maximize")
        for _ in range(5):
            trial = made.ask()
            for epoch in range(1, 10):
                trial.report(0.9, epoch)
            made.tell(trial, 0.9)
        made.ask()
    return tmp_path


def report(
    callback: Any,
    epochs: Iterable[int],
    accuracy: float,
    every: int = 1,
) -> None:
    """Do what a trainer does with the callback, which validates `every` so many epochs."""
    metrics = {"val/accuracy": torch.tensor(accuracy)}
    state: dict[str, Any] = {"max_epochs": 9, "callback_metrics": metrics}
    callback.on_fit_start(types.SimpleNamespace(**state), None)
    try:
        for epoch in epochs:
            trainer = types.SimpleNamespace(current_epoch=epoch - 1, **state)
            if epoch % every == 0:
                callback.on_validation_end(trainer, None)
            callback.on_train_epoch_end(trainer, None)
    finally:
        callback.on_fit_end()


def test_epochs_that_a_resumed_run_trains_again_are_reported_once(sweep_dir: Path) -> None:
    for epochs in ((1, 2), (2, 3)):  # stopped before the checkpoint of its second epoch was written
        report(Pruning(5, str(sweep_dir), ["val/accuracy"], "median"), epochs, 0.95)
    found = trials_of(sweep_dir)[5].intermediate_values
    assert found == pytest.approx({1: 0.95, 2: 0.95, 3: 0.95})


def test_an_epoch_without_validation_is_not_reported(sweep_dir: Path) -> None:
    report(Pruning(5, str(sweep_dir), ["val/accuracy"], "median"), range(1, 6), 0.95, every=2)
    found = trials_of(sweep_dir)[5].intermediate_values
    assert found == pytest.approx({2: 0.95, 4: 0.95})


def test_the_last_epoch_is_not_pruned(sweep_dir: Path) -> None:
    callback = Pruning(5, str(sweep_dir), ["val/accuracy"], "median")
    report(callback, [9], 0.1)
    with pytest.raises(Pruned, match=r"after epoch 8 of 9, val/accuracy 10\.00%"):
        report(callback, [8], 0.1)


@pytest.mark.parametrize(
    ("trial", "objectives", "pruner"),
    [
        (None, ["val/accuracy"], "median"),
        (5, ["val/accuracy"], None),
        (5, ["num_parameters"], "median"),
        (5, ["val/accuracy", "val/loss"], "median"),
    ],
)
def test_where_nothing_can_be_pruned_nothing_is_reported(
    trial: int | None, objectives: list[str], pruner: str | None, sweep_dir: Path
) -> None:
    report(Pruning(trial, str(sweep_dir), objectives, pruner), [5], 0.1)
    assert not trials_of(sweep_dir)[5].intermediate_values
