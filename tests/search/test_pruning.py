"""Hopeless trials are ended early, and not tested."""

import csv
import json
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from searches import SEARCH, TINY, train_here, trials_of

from digits.search import pruners
from digits.search.options import SearchOptions
from digits.search.pruners import make_pruner

ASKED = (
    *(*SEARCH, *TINY, "trainer.max_epochs=3", "schedule=constant", "name=pruned"),
    *("hydra.sweeper.sampler=grid", "optim.lr=0.01,0.011,1e-9"),
)


def test_a_hopeless_trial_ends_early_untested_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruners, "NUM_STARTUP_TRIALS", 2)
    ended = train_here(tmp_path, *ASKED)
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


def test_the_median_prunes_what_half_of_the_others_beat() -> None:
    study = optuna.create_study(direction="maximize", pruner=make_pruner("median", 10))
    for value in (0.1, 0.2, 0.3, 0.4, 0.5):
        trial = study.ask()
        for epoch in (1, 2, 3):
            trial.report(value, epoch)
        study.tell(trial, value)
    for value, hopeless in ((0.29, True), (0.31, False)):
        trial = study.ask()
        trial.report(value, 1)
        assert not trial.should_prune()  # after one epoch it is too early to say
        trial.report(value, 2)
        assert bool(trial.should_prune()) is hopeless


def test_hyperband_lets_the_best_third_go_on() -> None:
    study = optuna.create_study(direction="maximize", pruner=make_pruner("hyperband", 9))
    ended = []
    for number in range(60):
        trial = study.ask()
        for epoch in range(1, 10):
            trial.report(number % 7, epoch)
            if trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                ended.append((epoch, number % 7))
                break
        else:
            study.tell(trial, number % 7)
    assert {epoch for epoch, _ in ended} <= {1, 3, 9}
    assert len(ended) > 20
    assert not [value for _, value in ended if value == 6]


@pytest.mark.parametrize(
    ("objectives", "strategy", "why"),
    [
        (("val/accuracy",), "auto", None),
        (("val/loss",), "auto", None),
        (("num_parameters",), "auto", "is not measured each epoch"),
        (("val/accuracy", "train_time_s"), "auto", "several objectives"),
        (("val/accuracy",), "ddp", "processes of its own"),
    ],
)
def test_what_cannot_be_pruned_is_said(
    objectives: tuple[str, ...], strategy: str, why: str | None
) -> None:
    options = SearchOptions(None, "tpe", 0, "median", objectives, None)
    said = options.why_not_pruned(strategy)
    assert said is None if why is None else why in str(said)
