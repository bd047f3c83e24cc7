"""Whole sweeps from the command line: failures, kills, and starting again."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support import REPO, train_py

TINY = ("data=sample", "data.train_size=640", "model.hidden=[16]", "trainer=cpu")

ENDINGS = """
import sys
from pytorch_lightning import Callback

class Ending(Callback):
    def __init__(self, how):
        self.how = how

    def on_train_start(self, *_):
        if self.how == "exit":
            sys.exit(3)
        if self.how == "raise":
            raise RuntimeError("broken on purpose")
"""


def leaderboard(sweep: Path) -> list[dict[str, str]]:
    with (sweep / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def results(sweep: Path) -> list[tuple[str, str, str]]:
    return [(row["run"], row["val/accuracy"], row["test/accuracy"]) for row in leaderboard(sweep)]


def test_failing_jobs_are_told_and_all_others_are_done_and_ranked(tmp_path: Path) -> None:
    (tmp_path / "endings.py").write_text(ENDINGS)
    ending = ("+callbacks.ending._target_=endings.Ending", "+callbacks.ending.how=well,exit,raise")
    options = ("optim=sgd", "optim.lr=0.1,1e38", "trainer.max_epochs=1", "name=mixed")
    path = os.pathsep.join([str(REPO / "src"), str(tmp_path)])
    finished = train_py("-m", *ending, *options, *TINY, cwd=tmp_path, PYTHONPATH=path)
    assert finished.returncode == 1
    sweep = tmp_path / "outputs" / "sweeps" / "mixed"
    rows = leaderboard(sweep)
    assert [row["status"] for row in rows].count("finished") == 1
    assert rows[0]["rank"] == "1" and rows[0]["val/accuracy"]
    reasons = " ".join(row["reason"] for row in rows)
    assert "exit code 3" in reasons and "RuntimeError: broken on purpose" in reasons
    assert "diverged" in reasons
    last = finished.stderr.strip().splitlines()[-5:]
    assert all(line.startswith("error: ") for line in last)
    assert "Traceback" not in finished.stderr
    (log,) = sweep.glob("*how-raise*lr-0.1*/train.log")
    assert "Traceback" in log.read_text()
    assert "job 6 of 6" in finished.stdout and "1. how well, lr 0.1" in finished.stdout
    assert "train/loss" not in finished.stdout  # the jobs themselves are silent


def test_a_killed_sweep_started_again_ends_as_one_never_stopped(tmp_path: Path) -> None:
    options = ("seed=0,1,2", "model=baseline,dropout", "trainer.max_epochs=3", *TINY)
    train_py("-m", *options, "name=whole", cwd=tmp_path)
    command = [sys.executable, str(REPO / "train.py"), "-m", *options, "name=killed"]
    environment = os.environ | {"PYTHONPATH": str(REPO / "src"), "OMP_NUM_THREADS": "1"}
    sweep = tmp_path / "outputs" / "sweeps" / "killed"
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as process:
        deadline = time.monotonic() + 120
        while not list(sweep.glob("2_*/checkpoints/last.ckpt")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert len(list(sweep.glob("*/metrics.json"))) < 6
    before = {path: path.stat().st_mtime_ns for path in sweep.glob("*/model.pt")}
    again = train_py("-m", *options, "name=killed", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "finished already" in again.stdout
    assert results(sweep) == results(tmp_path / "outputs" / "sweeps" / "whole")
    assert before == {path: path.stat().st_mtime_ns for path in before}  # not trained again


@pytest.mark.parametrize("change", ["seed=0,1", "test=false,true"])
def test_a_finished_sweep_has_nothing_left_to_do(change: str, tmp_path: Path) -> None:
    options: tuple[Any, ...] = (change, "trainer.max_epochs=1", "name=done", *TINY)
    first = train_py("-m", *options, cwd=tmp_path)
    assert "job 1 of 2" in first.stdout and "job 2 of 2" in first.stdout
    again = train_py("-m", *options, cwd=tmp_path)
    assert "2 of them finished already" in again.stdout and "job 2 of 2" not in again.stdout
    assert again.returncode == 0


def test_a_killed_process_of_a_parallel_sweep_is_told_and_the_same_command_ends_it(
    tmp_path: Path,
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    options = (
        *("hydra/launcher=parallel", "hydra.launcher.n_jobs=2"),
        *("seed=0,1,2,3", "trainer.max_epochs=40", "name=killed"),
    )
    command = [sys.executable, str(REPO / "train.py"), "-m", *options, *TINY]
    environment = os.environ | {"PYTHONPATH": str(REPO / "src"), "OMP_NUM_THREADS": "1"}
    sweep = tmp_path / "outputs" / "sweeps" / "killed"
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 120
        while not list(sweep.glob("*/checkpoints/last.ckpt")) and time.monotonic() < deadline:
            time.sleep(0.01)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        workers = [each for each in children if "popen_loky" in cmdline(each)]
        os.kill(int(workers[0]), signal.SIGKILL)
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "was killed" in stderr and "Traceback" not in stderr
    again = train_py("-m", *options, *TINY, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert [row["status"] for row in leaderboard(sweep)] == ["finished"] * 4


def cmdline(pid: str) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def test_a_job_does_not_inherit_the_drawn_seed_of_the_job_before(tmp_path: Path) -> None:
    train_py("-m", "norm=half,exact", "seed=null", "name=drawn", "debug=fast", *TINY, cwd=tmp_path)
    runs = (tmp_path / "outputs" / "sweeps" / "drawn").glob("*/metrics.json")
    seeds = [json.loads(run.read_text())["seed"] for run in runs]
    assert len(set(seeds)) == 2
