"""`digits claims` on a small experiment, in a folder with train.py and conf/ of its own."""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from support import REPO

from digits.claims.header import Claim, find_claim, read_claims
from digits.claims.rerun import finished_jobs, read_runs
from digits.commands import claims
from digits.errors import DigitsError
from digits.sweeps.jobs import read_jobs

EXPERIMENT = """# @package _global_
# Twenty steps, to try claims with.
# claim: python train.py -m experiment=tiny seed=0,1
# test/accuracy: {accuracy} % over 2 seeds; {time} s of training a run; 2 cores, torch 2, 2026-11-23
defaults:
  - override /data: sample
  - override /logger: none
  - override /trainer: cpu
data: {{train_size: 640}}
trainer: {{max_epochs: 2}}
model: {{hidden: [16]}}
"""


def digits_claims(*words: str) -> int:
    parser = argparse.ArgumentParser()
    claims.add_arguments(parser)
    return claims.run(parser.parse_args(words))


def write_experiment(accuracy: str, time: str = "0.2") -> None:
    text = EXPERIMENT.format(accuracy=accuracy, time=time)
    Path("conf", "experiment", "tiny.yaml").write_text(text)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(REPO / "train.py", tmp_path)
    shutil.copytree(REPO / "conf", tmp_path / "conf")
    for path in (tmp_path / "conf" / "experiment").glob("*.yaml"):
        if path.stem != "original":
            path.unlink()
            continue
        lines = path.read_text().splitlines(keepends=True)  # one that claims nothing
        path.write_text(
            "".join(line for line in lines if not line.startswith(("# claim", "# test")))
        )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(REPO / "src"))
    write_experiment("99.00 ± 0.01")
    return tmp_path


def tiny() -> Claim:
    return find_claim(read_claims(), "tiny")


def make_run(seed: int, source: str = "sample") -> None:
    folder = Path("outputs", "claims", "tiny", f"{seed}_made")
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(
        yaml.dump(["experiment=tiny", f"seed={seed}"])
    )
    (folder / ".hydra" / "config.yaml").write_text(yaml.dump({"data": {"source": source}}))
    (folder / "status.json").write_text('{"status": "finished"}')
    (folder / "metrics.json").write_text('{"dataset": "mnist-sample-5k", "test/accuracy": 0.5}')
    (folder / "model.pt").touch()


def test_a_claim_is_trained_again_and_judged(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    configuration = {path: path.read_bytes() for path in Path("conf").rglob("*.yaml")}
    assert digits_claims("tiny") == 1
    screen = capfd.readouterr().out
    assert screen.startswith("claim 1 of 1: tiny (0.4 s of training, on 2 cores)")
    assert "job 2 of 2" in screen
    assert "claimed 99.00 ± 0.01 % (2 seeds), found " in screen
    assert {path: path.read_bytes() for path in Path("conf").rglob("*.yaml")} == configuration
    jobs = finished_jobs(Path("outputs", "claims", "tiny"))
    assert sorted(job.options["seed"] for job in jobs) == ["0", "1"]

    first, second = sorted(100 * job.metrics["test/accuracy"] for job in jobs)
    write_experiment(f"{(first + second) / 2:.2f} ± {(second - first) / 2**0.5:.2f}")
    assert digits_claims("--all") == 0
    screen = capfd.readouterr().out
    assert screen.startswith("left out: original")
    assert "2 jobs, 2 of them finished already" in screen
    assert "job 2 of 2" not in screen
    assert "tiny holds: claimed " in screen
    assert "2 of these runs were there already" in screen


def test_a_wrong_header_leaves_the_others_alone(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert digits_claims() == 0
    wrong = Path("conf", "experiment", "wrong.yaml")
    wrong.write_text("# claim: python train.py\n")
    assert digits_claims() == 1
    screen = capfd.readouterr().out
    assert "99.00 ± 0.01 %" in screen and "wrong header" in screen
    assert f"error: {wrong}: the claim's command must name the file and its seeds" in screen
    make_run(0)
    make_run(1)
    assert digits_claims("--all") == 1
    assert f"error: {wrong}: " in capfd.readouterr().out
    with pytest.raises(DigitsError, match="must name the file and its seeds"):
        digits_claims("wrong")


def test_a_command_that_fails_is_told(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Path("conf", "experiment", "tiny.yaml").open("a") as file:
        file.write("optim: {lr: -1}\n")
    assert digits_claims("tiny") == 1
    captured = capfd.readouterr()
    assert "error: tiny: its command failed, exit code 1; see above" in captured.out
    assert "optim.lr must be a number above 0" in captured.err


def test_a_signal_ends_its_training_too_and_the_same_line_goes_on(here: Path) -> None:
    write_experiment("99.00 ± 0.01")
    path = Path("conf", "experiment", "tiny.yaml")
    path.write_text(path.read_text().replace("max_epochs: 2", "max_epochs: 100"))
    command = [sys.executable, "-m", "digits", "claims", "tiny"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not list(here.rglob("last.ckpt")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in stderr) == (143, False)
    sweep = here / "outputs" / "claims" / "tiny"
    (job,) = read_jobs(sweep)
    assert job.status == "stopped"
    assert "| stopped | terminated |" in (sweep / "leaderboard.md").read_text()
    again = subprocess.run(command, capture_output=True, text=True)
    assert "job 2 of 2" in again.stdout, again.stderr
    assert "Restored all states" in (job.path / "train.log").read_text()
    assert len(finished_jobs(sweep)) == 2


def test_other_runs_in_its_place_are_refused(here: Path) -> None:
    with pytest.raises(DigitsError, match="seeds 0, 1, and has none; try digits claims tiny --re"):
        read_runs(tiny())
    make_run(0)
    with pytest.raises(DigitsError, match="seeds 0, 1, and has 0; try"):
        read_runs(tiny())
    make_run(1)
    assert [job.metrics["test/accuracy"] for job in read_runs(tiny())] == [0.5, 0.5]
    make_run(2)
    with pytest.raises(DigitsError, match="and has 0, 1, 2; try"):
        read_runs(tiny())


def test_the_sample_does_not_stand_in_for_mnist(here: Path) -> None:
    make_run(0)
    make_run(1, source="auto")
    with pytest.raises(DigitsError, match="MNIST was not there"):
        read_runs(tiny())


def test_runs_of_another_command_are_refused(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_run(0)
    task = ["experiment=tiny", "seed=0,1,2", "name=tiny"]
    multirun = Path("outputs", "claims", "tiny", "multirun.yaml")
    multirun.write_text(yaml.dump({"hydra": {"overrides": {"task": task}}}))
    assert digits_claims("tiny") == 1
    assert "holds runs of another command than the claim's; try --rerun" in capfd.readouterr().out


def test_runs_of_mnist_are_kept_where_it_cannot_be_had(
    here: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(0)
    Path("outputs", "claims", "tiny", "0_made", "metrics.json").write_text(
        json.dumps({"dataset": "mnist", "test/accuracy": 0.99})
    )

    def fail(*_: object) -> None:
        raise DigitsError("no network; try later")

    monkeypatch.setenv("DIGITS_DATA", str(here / "nothing"))
    monkeypatch.setattr("digits.data.mnist.fetch", fail)
    assert digits_claims("tiny", "--rerun") == 1
    assert "no network; try later" in capfd.readouterr().out
    assert Path("outputs", "claims", "tiny", "0_made", "metrics.json").exists()


def test_long_claims_are_left_out_and_named(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_experiment("99.00 ± 0.01", time="300")
    with pytest.raises(DigitsError, match="no claim takes less than ten minutes"):
        digits_claims("--all")
    assert "tiny (10 min)" in capfd.readouterr().out


@pytest.mark.parametrize("words", ["--all tiny", "--rerun", "tony"])
def test_wrong_command_lines_are_one_line(here: Path, words: str) -> None:
    with pytest.raises(DigitsError, match="try") as refused:
        digits_claims(*words.split())
    assert "\n" not in str(refused.value)
