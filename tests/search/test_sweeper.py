"""Whole searches: what they leave behind, and that they are resumed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra.core.hydra_config import HydraConfig
from matplotlib import pyplot
from matplotlib.image import imread
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState
from searches import SEARCH, TINY, trials_of
from support import kill_train_py, train_here

import digits.training.run
from digits.errors import DigitsError
from digits.search.sweeper import draw

LR = "optim.lr=tag(log, interval(1e-4, 1e-1))"
DROPOUT = "model.dropout_rate=interval(0, 0.5)"
TUNE = """\
# @package _global_
# A search of the learning rate.
defaults:
  - override /hydra/sweeper: optuna
  - override /model: dropout
hydra:
  sweeper:
    n_trials: 2
    params:
      optim.lr: tag(log, interval(1e-3, 1e-2))
      model.dropout_rate: interval(0, 0.5)
"""
ASKED = (*SEARCH, *TINY, "model=dropout", LR, DROPOUT, "name=found")

Measure = Callable[[DictConfig], dict[str, float]]


@pytest.fixture
def measured_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[Measure], None]:
    """Put a function in the place of the training: what it returns is in metrics.json."""

    def replace(measure: Measure) -> None:
        def run(config: DictConfig, *_: Any, **__: Any) -> dict[str, float]:
            run_dir = Path(HydraConfig.get().runtime.output_dir)
            metrics = {"val/accuracy": 0.0, **measure(config)}
            (run_dir / "metrics.json").write_text(json.dumps(metrics))
            (run_dir / "status.json").write_text('{"status": "finished"}')
            (run_dir / "model.pt").touch()
            return metrics

        monkeypatch.setattr(digits.training.run, "run", run)

    return replace


class Found:
    """A search of five trials, stopped after three, and what it printed the second time."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.sweep = folder, folder / "outputs" / "sweeps" / "found"
        train_here(folder, *ASKED, "hydra.sweeper.n_trials=3")
        self.ended = train_here(folder, *ASKED, "hydra.sweeper.n_trials=5")
        self.trials = trials_of(self.sweep)
        self.best = max(self.trials, key=lambda trial: (trial.values[0], -trial.number))

    def run_dir(self, number: int) -> Path:
        (found,) = self.sweep.glob(f"{number}_*")
        return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return Found(tmp_path_factory.mktemp("here"))


def test_the_study_says_what_the_runs_were_asked_and_what_they_measured(found: Found) -> None:
    assert found.ended.code == 0, found.ended.stderr
    assert [trial.state for trial in found.trials] == 5 * [TrialState.COMPLETE]
    for trial in found.trials:
        run_dir = found.run_dir(trial.number)
        assert "pruning" not in run_dir.name and "trial" not in run_dir.name
        config = OmegaConf.load(run_dir / ".hydra" / "config.yaml")
        asked = {key: OmegaConf.select(config, key) for key in trial.params}
        assert asked == trial.params
        metrics = json.loads((run_dir / "metrics.json").read_text())
        assert trial.values == [metrics["val/accuracy"]]
        assert trial.user_attrs["run"] == run_dir.name
        assert list(trial.intermediate_values) == [1]
    assert len({trial.params["optim.lr"] for trial in found.trials}) == 5


def test_a_line_for_each_trial_none_of_the_runs_own_and_pictures(found: Found) -> None:
    lines = found.ended.stdout.splitlines()
    assert "resumed after 3 trials" in lines
    assert [line.split()[:3] for line in lines if "/5 " in line] == [
        ["4/5", "trial", "3"],
        ["5/5", "trial", "4"],
    ]
    best = found.best
    assert f"best val/accuracy {best.values[0]:.2%} (trial {best.number})" in found.ended.stdout
    assert "embedded sample of 5,000 images" in found.ended.stdout
    assert "train/loss" not in found.ended.stdout
    assert found.ended.stderr == ""
    for name in ("history.png", "importance.png"):
        assert imread(found.sweep / name).shape[0] > 400
    assert (found.sweep / "leaderboard.csv").read_text().count("\n") == 1 + 5


def test_the_best_configuration_is_a_ready_experiment(found: Found, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    text = (found.sweep / "best_experiment.yaml").read_text()
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    places = ("name=found", "trainer=cpu", "logger=none")  # which an experiment leaves open
    command = ("--config-dir", str(tmp_path), "experiment=mine", *places)
    shown = train_here(tmp_path, *command, "--cfg", "job", "--resolve")
    record: Any = OmegaConf.load(found.run_dir(found.best.number) / ".hydra" / "config.yaml")
    del record.callbacks.pruning
    OmegaConf.resolve(record)
    assert OmegaConf.create(shown.stdout) == record
    first, second, *rest = text.splitlines()
    assert first == "# @package _global_"
    assert f"{found.best.values[0]:.2%}" in second and "mnist-sample-5k" in second
    assert "'optim.lr=tag(log, interval(1e-4, 1e-1))'" in rest[0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("optim.weight_decay=0.1", DROPOUT.replace("0.5", "0.6")), "dropout_rate=interval(0,0.5)"),
        (("hydra.sweeper.objectives=[val/loss]",), "objectives=[val/accuracy]"),
    ],
)
def test_another_search_does_not_resume_it(
    found: Found, options: tuple[str, ...], expected: str
) -> None:
    before = {path: path.stat().st_mtime_ns for path in found.sweep.rglob("*.*")}
    ended = train_here(found.folder, *ASKED, "hydra.sweeper.n_trials=6", *options)
    assert ended.code == 1
    assert ended.stderr.startswith("error: ") and ended.stderr.count("\n") == 1
    assert expected in ended.stderr and "try the same options" in ended.stderr
    assert {path: path.stat().st_mtime_ns for path in found.sweep.rglob("*.*")} == before


def test_a_finished_search_has_nothing_to_do(found: Found) -> None:
    ended = train_here(found.folder, *ASKED, "hydra.sweeper.n_trials=5", "data.dir=elsewhere")
    assert ended.code == 0, ended.stderr
    assert "nothing to do; try hydra.sweeper.n_trials=25" in ended.stdout
    assert len(trials_of(found.sweep)) == 5


def test_what_fails_is_recorded_and_the_search_goes_on(
    measured_by: Callable[[Measure], None], tmp_path: Path
) -> None:
    def measure(config: DictConfig) -> dict[str, float]:
        if config.seed == 1:
            raise DigitsError("the training diverged; try a smaller optim.lr")
        return {"val/accuracy": 0.9 + config.seed / 100, "val/loss": 1.0}

    measured_by(measure)
    asked = (*SEARCH, *TINY, "seed=range(4)", "hydra.sweeper.sampler=grid", "name=fails")
    ended = train_here(tmp_path, *asked)
    assert ended.code == 1
    assert ended.stderr.startswith("error: 1 of 4 trials failed") and ended.stderr.count("\n") == 1
    (line,) = [line for line in ended.stdout.splitlines() if "failed: " in line]
    assert "  seed 1  failed: the training diverged; try a smaller optim.lr" in line
    trials = trials_of(tmp_path / "outputs" / "sweeps" / "fails")
    (failed,) = [trial for trial in trials if trial.state is TrialState.FAIL]
    assert failed.params["seed"] == 1 and "diverged" in failed.user_attrs["reason"]
    assert len([each for each in trials if each.state is TrialState.COMPLETE]) == 3


def test_a_stopped_trial_is_run_again_under_its_number(
    measured_by: Callable[[Measure], None], tmp_path: Path
) -> None:
    def measure(config: DictConfig) -> dict[str, float]:
        rates.append(config.optim.lr)
        if len(rates) == 2:
            raise KeyboardInterrupt
        return {"val/accuracy": 0.9}

    rates: list[float] = []
    measured_by(measure)
    asked = (*SEARCH, *TINY, LR, "hydra.sweeper.n_trials=3", "name=stopped")
    assert train_here(tmp_path, *asked).code == 130
    sweep = tmp_path / "outputs" / "sweeps" / "stopped"
    assert (sweep / "history.png").exists()

    assert train_here(tmp_path, *asked).code == 0
    trials = trials_of(sweep)
    assert [trial.state for trial in trials] == 3 * [TrialState.COMPLETE]
    assert rates == [trials[number].params["optim.lr"] for number in (0, 1, 1, 2)]
    assert len(set(rates)) == 3
    assert len([path for path in sweep.iterdir() if path.is_dir()]) == 3


def test_of_several_objectives_the_pareto_front_is_named(
    measured_by: Callable[[Measure], None], tmp_path: Path
) -> None:
    values = [(0.90, 10.0), (0.95, 30.0), (0.93, 40.0), (0.94, 20.0), (0.95, 31.0)]

    def measure(config: DictConfig) -> dict[str, float]:
        return dict(zip(("val/accuracy", "train_time_s"), values[config.seed], strict=True))

    measured_by(measure)
    objectives = "hydra.sweeper.objectives=[val/accuracy,train_time_s]"
    grid = ("seed=range(5)", "hydra.sweeper.sampler=grid")
    ended = train_here(tmp_path, *SEARCH, *TINY, objectives, *grid, "name=two")
    assert ended.code == 0, ended.stderr
    sweep = tmp_path / "outputs" / "sweeps" / "two"
    numbers = {trial.params["seed"]: trial.number for trial in trials_of(sweep)}
    named = [
        int(line.split()[3])
        for line in ended.stdout.splitlines()
        if line.startswith("Pareto front: trial ")
    ]
    assert named == [numbers[1], numbers[3], numbers[0]]  # by accuracy
    assert "seed: 1" in (sweep / "best_experiment.yaml").read_text()
    assert (sweep / "pareto_front.png").exists()
    assert "no trial is pruned: " in ended.stdout


def test_an_experiment_can_say_what_is_searched_and_the_command_line_has_the_last_word(
    measured_by: Callable[[Measure], None], tmp_path: Path
) -> None:
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "tune.yaml").write_text(TUNE)
    asked: list[tuple[str, float, float]] = []

    def measure(config: DictConfig) -> dict[str, float]:
        asked.append((config.model._target_, config.optim.lr, config.model.dropout_rate))
        return {"val/accuracy": 0.9}

    measured_by(measure)
    command = ("-m", "--config-dir", "conf", "experiment=tune", "name=tuned")
    ended = train_here(tmp_path, *command, *TINY, "model.dropout_rate=0.3")
    assert ended.code == 0, ended.stderr
    assert len(asked) == 2
    assert all(target.endswith("DropoutClassifier") for target, _, _ in asked)
    assert all(1e-3 <= lr < 1e-2 for _, lr, _ in asked)
    assert {rate for _, _, rate in asked} == {0.3}


def test_a_sweep_is_not_resumed_as_a_search(tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "sweeps" / "mixed" / "0_seed-0" / ".hydra"
    folder.mkdir(parents=True)
    ended = train_here(tmp_path, *SEARCH, *TINY, LR, "name=mixed")
    assert ended.code == 1
    assert "holds a sweep that is not a search" in ended.stderr


def test_pictures_leave_pyplot_as_it_was_and_need_trials_to_speak_of(tmp_path: Path) -> None:
    style = {key: value for key, value in pyplot.rcParams.items() if key != "backend"}
    study = optuna.create_study(study_name="s", sampler=optuna.samplers.RandomSampler(seed=0))
    space = {"lr": FloatDistribution(1e-4, 1e-1, log=True), "m": CategoricalDistribution("ab")}
    study.ask()  # which is still running
    for number in range(5):
        trial = study.ask(space)
        study.tell(trial, trial.params["lr"])
        if number in (0, 4):
            files = draw(study, ["val/loss"], tmp_path)
            assert files == ["history.png", "importance.png"][: 2 if number == 4 else 1]
    assert pyplot.get_fignums() == []
    assert {key: pyplot.rcParams[key] for key in style} == style


@pytest.mark.slow
def test_a_killed_search_ends_with_the_trials_asked_for_in_one_study(tmp_path: Path) -> None:
    sweep = tmp_path / "outputs" / "sweeps" / "killed"
    # Killed in the middle of the second trial.
    asked = (*SEARCH, *TINY, "hydra.sweeper.n_trials=2", LR, "trainer.max_epochs=40")
    until = "outputs/sweeps/killed/1_*/checkpoints/last.ckpt"
    kill_train_py(until, *asked, "name=killed", cwd=tmp_path)
    assert [trial.state for trial in trials_of(sweep)] == [TrialState.COMPLETE, TrialState.RUNNING]
    (rows,) = (path.read_text().splitlines() for path in sweep.glob("1_*/metrics.csv"))

    ended = train_here(tmp_path, *asked, "name=killed")

    assert ended.code == 0, ended.stderr
    trials = trials_of(sweep)
    assert [trial.state for trial in trials] == 2 * [TrialState.COMPLETE]
    assert list(trials[1].intermediate_values) == list(range(1, 41))
    assert len([path for path in sweep.iterdir() if path.is_dir()]) == 2
    (path,) = sweep.glob("1_*/metrics.csv")
    assert path.read_text().splitlines()[: len(rows) - 1] == rows[:-1]  # it was not begun again
    assert path.read_text().count("\n") == 1 + 40


@pytest.mark.slow
def test_trials_run_side_by_side_through_a_launcher(tmp_path: Path) -> None:
    launcher = ("hydra/launcher=parallel", "hydra.launcher.n_jobs=2", "hydra.sweeper.n_trials=2")
    ended = train_here(tmp_path, *SEARCH, *TINY, *launcher, LR)  # without a name of its own
    assert ended.code == 0, ended.stderr
    assert "2 at a time" in ended.stdout
    (sweep,) = (tmp_path / "outputs" / "sweeps").iterdir()
    first, second = trials_of(sweep)
    assert (first.state, second.state) == (TrialState.COMPLETE, TrialState.COMPLETE)
    assert list(first.intermediate_values) == [1]  # told by the other process
    started = [json.loads(path.read_text())["started"] for path in sweep.glob("*/status.json")]
    ended_at = [path.stat().st_mtime for path in sweep.glob("*/metrics.json")]
    assert len(started) == 2 and max(started) < min(ended_at)
