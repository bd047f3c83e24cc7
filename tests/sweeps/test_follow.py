"""Sweeps: what is printed, failures, kills, and starting again."""

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from made_runs import make_run, set_status
from omegaconf import DictConfig, OmegaConf, open_dict
from support import REPO, kill_train_py, train_py

from digits.config.overrides import parsed
from digits.errors import DigitsError
from digits.sweeps.follow import (
    FollowSweep,
    check_same_sweep,
    failed_jobs,
    hold_sweep,
    update_leaderboard,
)

TINY = ("data=sample", "data.train_size=640", "model.hidden=[16]", "trainer=cpu")
JOB: Any = SimpleNamespace()


@pytest.fixture
def sweep_dir(tmp_path: Path) -> Iterator[Path]:
    with initialize_config_dir(str(REPO / "conf"), version_base="1.3"):
        yield tmp_path / "grid"
    HydraConfig.instance().cfg = None
    FollowSweep.sweep_dir = None
    FollowSweep.held.close()


def configuration(sweep_dir: Path, *task: str, job: str = "") -> DictConfig:
    """Return what Hydra hands to a callback in a sweep with these overrides, and to a job of it."""
    overrides = [f"name={sweep_dir.name}", f"hydra.sweep.dir={sweep_dir}"]
    config = compose("config", overrides, return_hydra_config=True)
    with open_dict(config):
        config.hydra.overrides.task = list(task)
        config.hydra.mode = RunMode.MULTIRUN
        config.hydra.runtime.output_dir = str(sweep_dir / job)
    HydraConfig.instance().set_config(config)
    return config


def end_job(sweep_dir: Path, name: str, *task: str) -> None:
    FollowSweep().on_job_end(configuration(sweep_dir, *task, job=name), JOB)


def test_each_job_has_a_line_and_the_best_groups_are_last(
    sweep_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = ("model=baseline,dropout", "seed=0,1")
    FollowSweep().on_multirun_start(configuration(sweep_dir, *task))
    for number, (model, seed) in enumerate([("baseline", 0), ("baseline", 1), ("dropout", 0)]):
        choices, accuracy = {"model": model}, 0.9 + number / 100
        make_run(sweep_dir / f"{number}_run", seed, val_accuracy=accuracy, choices=choices)
        end_job(sweep_dir, f"{number}_run", *task)
    assert (sweep_dir / "leaderboard.csv").exists()
    FollowSweep().on_multirun_end(configuration(sweep_dir, *task))
    start, first, second, third, *ranking = capsys.readouterr().out.splitlines()
    assert start == f"4 jobs: {sweep_dir}"
    assert first.startswith("job 1 of 4  0_run ")
    assert "val/accuracy 91.00%  best 91.00% (number 1)  about " in second
    assert "job 3 of 4" in third
    assert ranking[0].startswith("1. dropout: validation 92.00%, test ")
    assert ranking[1].startswith("2. baseline (2 seeds): validation 90.50% ± 0.71, test ")
    assert not failed_jobs()


def test_failed_jobs_are_listed_at_the_end(
    sweep_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = ("seed=0,1,2,3",)
    assert failed_jobs() == []
    FollowSweep().on_multirun_start(configuration(sweep_dir, *task))
    make_run(sweep_dir / "0_run")
    set_status(make_run(sweep_dir / "1_run", 1), "failed", "the loss diverged")
    set_status(make_run(sweep_dir / "2_run", 2), "running")
    end_job(sweep_dir, "1_run", *task)
    assert "1_run" in capsys.readouterr().out.splitlines()[-1]
    update_leaderboard()
    assert "diverged" in (sweep_dir / "leaderboard.md").read_text()
    assert failed_jobs() == [
        "2 jobs failed; see the train.log in each directory",
        "error: 1_run: failed: the loss diverged",
        "error: 2_run: was killed, or another process is still training it",
        "error: 1 job did not begin; run the same command with name=grid to resume",
    ]
    assert "1. baseline: validation 90.00%" in capsys.readouterr().out
    assert failed_jobs() == []


def test_finished_jobs_are_counted_and_have_no_second_line(
    sweep_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(sweep_dir / "0_run")
    FollowSweep().on_multirun_start(configuration(sweep_dir, "seed=0,1"))
    assert "2 jobs, 1 of them finished already" in capsys.readouterr().out
    make_run(sweep_dir / "1_run", 1)
    end_job(sweep_dir, "0_run", "seed=0,1")
    assert not capsys.readouterr().out
    end_job(sweep_dir, "1_run", "seed=0,1")
    assert "1_run" in capsys.readouterr().out


def test_another_sweep_in_the_same_directory_is_refused(sweep_dir: Path) -> None:
    FollowSweep().on_multirun_start(configuration(sweep_dir, "seed=0,1", "optim.lr=0.1"))
    for task in (["seed=1,2", "optim.lr=0.1"], ["seed=0,1"]):
        with pytest.raises(DigitsError, match=r"holds a sweep of seed=0,1 optim.lr=0.1, not of "):
            check_same_sweep(configuration(sweep_dir, *task))
    check_same_sweep(configuration(sweep_dir, "seed=0,1", "optim.lr=0.1", "logger=none"))
    (sweep_dir / "study.db").touch()  # as at the start of a search
    with pytest.raises(DigitsError, match="holds a search; try another name=SWEEP"):
        check_same_sweep(configuration(sweep_dir, "seed=0,1", "optim.lr=0.1"))


def test_jobs_in_deeper_directories_are_followed(
    sweep_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    FollowSweep().on_multirun_start(configuration(sweep_dir, "seed=0,1"))
    make_run(sweep_dir / "lr0.1" / "s0")
    end_job(sweep_dir, "lr0.1/s0", "seed=0,1")
    assert "job 1 of 2  lr0.1/s0 " in capsys.readouterr().out
    (row,) = csv.DictReader((sweep_dir / "leaderboard.csv").read_text().splitlines())
    assert row["run"] == "lr0.1/s0"


def test_a_sweep_is_started_once_at_a_time(sweep_dir: Path) -> None:
    config = configuration(sweep_dir, "seed=0,1")
    hold_sweep(config)
    with pytest.raises(DigitsError, match="is in use by another process"):
        hold_sweep(config)
    FollowSweep().on_multirun_start(config)
    FollowSweep().on_multirun_end(config)
    hold_sweep(config)
    assert not failed_jobs()


def test_a_ranking_over_different_validation_images_says_so(
    sweep_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    FollowSweep().on_multirun_start(configuration(sweep_dir, "data.split_seed=0,1"))
    for seed in (0, 1):
        make_run(sweep_dir / f"{seed}_run", val_split_sha256=str(seed))
    FollowSweep().on_multirun_end(configuration(sweep_dir, "data.split_seed=0,1"))
    for shown in (capsys.readouterr().out, (sweep_dir / "leaderboard.md").read_text()):
        assert "OF DIFFERENT VALIDATION IMAGES" in shown


def test_the_command_line_replaces_the_values_of_an_experiment(sweep_dir: Path) -> None:
    sweeper, asked = {"params": {"seed": "0,1", "model": "cnn"}}, {"task": ["seed=1,2,3"]}
    config = OmegaConf.create({"hydra": {"sweeper": sweeper, "overrides": asked}})
    found = parsed(config, GlobalHydra.instance().config_loader())
    assert [each.input_line for each in found] == ["seed=1,2,3", "model=cnn"]


BROKEN = """
from pytorch_lightning import Callback

class Broken(Callback):
    def __init__(self, broken):
        self.broken = broken

    def on_train_start(self, *_):
        if self.broken:
            raise RuntimeError("broken on purpose")
"""


def leaderboard(sweep: Path) -> list[dict[str, str]]:
    with (sweep / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_all_other_jobs_are_done_and_ranked_though_some_fail(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(BROKEN)
    callback = ("+callbacks.mine._target_=mine.Broken", "+callbacks.mine.broken=false,true")
    options = ("optim=sgd", "optim.lr=0.1,1e38", "trainer.max_epochs=1", "name=mixed")
    path = os.pathsep.join([str(REPO / "src"), str(tmp_path)])
    finished = train_py("-m", *callback, *options, *TINY, cwd=tmp_path, PYTHONPATH=path)
    assert finished.returncode == 1
    first, *failed = leaderboard(tmp_path / "outputs" / "sweeps" / "mixed")
    assert (first["rank"], first["status"]) == ("1", "finished") and first["val/accuracy"]
    assert (first["callbacks.mine.broken"], first["optim.lr"]) == ("false", "0.1")
    assert [row["status"] for row in failed] == ["failed"] * 3
    reasons = " ".join(row["reason"] for row in failed)
    assert "RuntimeError: broken on purpose" in reasons and "diverged" in reasons
    errors = finished.stderr.strip().splitlines()[-3:]
    assert all(line.startswith("error: ") for line in errors)
    assert "Traceback" not in finished.stderr
    assert "job 4 of 4" in finished.stdout
    assert "train/loss" not in finished.stdout  # the jobs themselves are silent


@pytest.mark.slow
def test_a_killed_sweep_started_again_ends_as_one_never_stopped(tmp_path: Path) -> None:
    options = ("-m", "seed=0,1,2", "model=baseline,dropout", "trainer.max_epochs=3", *TINY)
    train_py(*options, "name=whole", cwd=tmp_path)
    sweep = tmp_path / "outputs" / "sweeps" / "killed"
    until = "outputs/sweeps/killed/2_*/checkpoints/last.ckpt"
    kill_train_py(until, *options, "name=killed", cwd=tmp_path)
    assert len(list(sweep.glob("*/metrics.json"))) < 6
    before = {path: path.stat().st_mtime_ns for path in sweep.glob("*/model.pt")}
    again = train_py(*options, "name=killed", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "finished already" in again.stdout
    ended, whole = (
        leaderboard(tmp_path / "outputs" / "sweeps" / name) for name in ("killed", "whole")
    )
    for each in (*ended, *whole):
        del each["train_time_s"]
    assert ended == whole
    assert before == {path: path.stat().st_mtime_ns for path in before}  # not trained again


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "plugin"),
    [
        ("parallel", "hydra_plugins.hydra_joblib_launcher"),
        ("submitit_local", "hydra_plugins.hydra_submitit_launcher"),
        ("ray_jobs", "hydra_plugins.hydra_ray_launcher"),
    ],
)
def test_a_launchers_jobs_are_bit_identical_to_the_same_jobs_alone(
    launcher: str, plugin: str, tmp_path: Path
) -> None:
    pytest.importorskip(plugin)
    options = ("model=dropout", "optim=sgd", "trainer.max_epochs=2", *TINY)
    swept = train_py(
        *("-m", f"hydra/launcher={launcher}", "name=both", "seed=0,1", *options), cwd=tmp_path
    )
    assert swept.returncode == 0, swept.stderr
    sweep = tmp_path / "outputs" / "sweeps" / "both"
    for row in leaderboard(sweep):
        (tmp_path / row["seed"]).mkdir()
        alone = train_py("name=alone", f"seed={row['seed']}", *options, cwd=tmp_path / row["seed"])
        assert alone.returncode == 0, alone.stderr
        runs = (sweep / row["run"], tmp_path / row["seed"] / "outputs/runs/alone")
        first, second = (torch.load(run / "model.pt", weights_only=True)["weights"] for run in runs)
        assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.slow
def test_a_job_does_not_inherit_the_drawn_seed_of_the_job_before(tmp_path: Path) -> None:
    train_py("-m", "norm=half,exact", "seed=null", "name=drawn", "debug=fast", *TINY, cwd=tmp_path)
    runs = (tmp_path / "outputs" / "sweeps" / "drawn").glob("*/metrics.json")
    seeds = [json.loads(run.read_text())["seed"] for run in runs]
    assert len(set(seeds)) == 2


@pytest.mark.slow
def test_ddp_on_one_device_is_one_process_which_a_sweep_can_start(tmp_path: Path) -> None:
    options = (*TINY[:-1], "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1")
    done = train_py("-m", *options, "trainer.max_epochs=1", "seed=0,1", "name=ddp", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = leaderboard(tmp_path / "outputs" / "sweeps" / "ddp")
    assert [row["status"] for row in rows] == ["finished"] * 2


def test_a_folder_with_somebody_elses_leaderboard_is_refused(sweep_dir: Path) -> None:
    sweep_dir.mkdir()
    (sweep_dir / "leaderboard.md").write_text("mine")
    with pytest.raises(DigitsError, match=r"holds leaderboard\.md and is not a sweep directory"):
        check_same_sweep(configuration(sweep_dir, "seed=0,1"))
