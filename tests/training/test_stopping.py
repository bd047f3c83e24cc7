"""However and whenever a training ends too early, it goes on bit for bit."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from kills import SETTINGS, differences, kill_and_resume
from pytorch_lightning import Callback
from runs import REPO, SMALL, PowerCutError, train, train_py
from tensorboard.summary.writer import event_file_writer  # type: ignore[import-untyped]

from digits.training.checkpoints import read_checkpoint
from digits.training.tensorboard import TensorBoard

logging.getLogger("tensorboard").setLevel(logging.ERROR)  # tells what it purges

ADAM = ("model=baseline", "optim=adam", "schedule=constant")
ONECYCLE = ("model=dropout", "optim=sgd", "schedule=onecycle", "data.batch_size=32")
STACKS = ("trainer.max_epochs=3", "+data.minibatches_per_stack=2", "callbacks.stop.interval_s=0")
LONG = (
    *("data=sample", "trainer=cpu", "model.hidden=[16]", "name=long"),
    *("trainer.max_epochs=30", "+data.minibatches_per_stack=2"),
)


class PowerCutAfterStacks(Callback):
    """Fails when so many stacks have been trained on, in all epochs of this start."""

    def __init__(self, num_stacks: int) -> None:
        self.left = num_stacks

    def on_train_batch_start(self, *_: Any) -> None:
        if self.left == 0:
            raise PowerCutError
        self.left -= 1


def train_until_power_cut(
    num_stacks: int, run_dir: Path, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        cut = PowerCutAfterStacks(num_stacks)
        patch.setattr("digits.training.run.pruning_callbacks", lambda _: [cut])
        with pytest.raises(PowerCutError):
            train(run_dir, *options)


@pytest.mark.parametrize("setting", [ADAM, ONECYCLE], ids=["adam", "onecycle"])
@pytest.mark.parametrize("cuts", [(1,), (2, 1), (7,), (4, 2, 3)])
def test_power_cuts_within_epochs_change_nothing(
    setting: tuple[str, ...], cuts: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (*SMALL, *setting, *STACKS)
    train(tmp_path / "whole", *options)
    for cut in cuts:
        train_until_power_cut(cut, tmp_path / "cut", options, monkeypatch)
    assert "within_epoch" in read_checkpoint(tmp_path / "cut" / "checkpoints" / "last.ckpt")
    train(tmp_path / "cut", *options)
    assert differences(tmp_path / "whole", tmp_path / "cut") == []


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting[0])
def test_kills_at_random_moments_change_nothing(setting: tuple[str, ...], tmp_path: Path) -> None:
    assert kill_and_resume(tmp_path, "alone", setting, most=0) == 0
    assert kill_and_resume(tmp_path, "killed", setting, most=2) <= 2
    runs = tmp_path / "outputs" / "runs"
    assert differences(runs / "alone", runs / "killed") == []
    assert not list(runs.rglob(".*.part-*"))


@pytest.mark.parametrize("before", ["draw_loss_curves", "log_hyperparameters", "write_metrics"])
def test_a_power_cut_when_results_are_written_changes_nothing(
    before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: Any) -> None:
        raise PowerCutError

    train(tmp_path / "whole", *SMALL, *ADAM, "trainer.max_epochs=2")
    with monkeypatch.context() as patch:
        patch.setattr(f"digits.training.run.{before}", cut)
        with pytest.raises(PowerCutError):
            train(tmp_path / "cut", *SMALL, *ADAM, "trainer.max_epochs=2")
    train(tmp_path / "cut", *SMALL, *ADAM, "trainer.max_epochs=2")
    assert differences(tmp_path / "whole", tmp_path / "cut") == []


def test_a_power_cut_at_the_first_checkpoint_leaves_no_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: Any, **__: Any) -> None:
        raise PowerCutError

    options = (*SMALL, *ADAM, "trainer.max_epochs=2")
    train(tmp_path / "whole", *options)
    # The number that tells apart what one process begins in one second: 9, then 10.
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(9))
    with monkeypatch.context() as patch:
        patch.setattr("pytorch_lightning.Trainer.save_checkpoint", cut)
        with pytest.raises(PowerCutError):
            train(tmp_path / "cut", *options)
    train(tmp_path / "cut", *options)
    assert differences(tmp_path / "whole", tmp_path / "cut") == []


def test_an_event_file_never_shares_its_second_with_an_earlier_one(tmp_path: Path) -> None:
    second = int(time.time())
    earlier = tmp_path / f"events.out.tfevents.{second}.host.1.9"
    earlier.touch()
    logger = TensorBoard(str(tmp_path))
    logger.experiment.close()
    (later,) = set(tmp_path.iterdir()) - {earlier}
    assert int(later.name.split(".")[3]) > second


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (*SMALL, *ADAM, *STACKS)
    train(tmp_path / "whole", *options)
    train_until_power_cut(12, tmp_path / "cut", options, monkeypatch)
    last = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    train(tmp_path / "cut", *options)
    assert f"{last} is damaged: going on from best.ckpt" in caplog.text
    assert differences(tmp_path / "whole", tmp_path / "cut") == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a long run that nothing has stopped."""
    folder = tmp_path_factory.mktemp("whole")
    ended = train_py(*LONG, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return folder / "outputs" / "runs" / "long"


def start_and_signal(
    number: signal.Signals, folder: Path, pattern: str, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Sends a signal to the process that trains, after its first epochs."""
    environment = os.environ | {"PYTHONPATH": str(REPO / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(REPO / "train.py"), *arguments]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 120
        while not list(folder.rglob("last.ckpt")) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        trains = process.pid
        if pattern:
            found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True)
            trains = next(
                int(each)
                for each in found.stdout.split()
                if str(folder) in Path(f"/proc/{each}/environ").read_text().replace("\0", " ")
            )
        os.kill(trains, number)
        stdout, stderr = process.communicate(timeout=240)
        return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 143)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_signal_ends_the_run_with_a_checkpoint_of_that_moment(
    number: signal.Signals, code: int, whole: Path, tmp_path: Path
) -> None:
    variables = {}
    if number == signal.SIGUSR1:  # what a SLURM cluster is asked to send before the time is over
        scontrol = tmp_path / "bin" / "scontrol"
        scontrol.parent.mkdir()
        scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
        scontrol.chmod(0o755)
        variables["PATH"] = os.pathsep.join([str(scontrol.parent), os.environ["PATH"]])
        variables |= {"SLURM_JOB_ID": "123", "SLURM_NTASKS": "1", "SLURM_JOB_NAME": "digits"}
        variables |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    stopped = start_and_signal(number, tmp_path, "", *LONG, **variables)
    assert stopped.returncode == code, stopped.stderr
    (line,) = stopped.stderr.splitlines()
    assert "goes on" in line
    run = tmp_path / "outputs" / "runs" / "long"
    step = read_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"]
    resumed = train_py(*LONG, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert f"resumed after step {step:,}" in resumed.stdout
    assert differences(whole, run) == []
    if number == signal.SIGUSR1:
        assert (tmp_path / "asked").read_text() == "requeue 123\n"


def test_a_job_that_a_cluster_queues_again_goes_on(whole: Path, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    ended = start_and_signal(
        *(signal.SIGUSR2, tmp_path, "submitit.core._submit"),
        *("-m", "hydra/launcher=submitit_local", "seed=0", *LONG),
        MARKED_BY=str(tmp_path),
    )
    assert ended.returncode == 0, ended.stderr
    (run,) = (tmp_path / "outputs" / "sweeps" / "long").glob("0_*")
    (log,) = (tmp_path / "outputs" / "sweeps" / "long").glob(".submitit/*/*.out")
    assert "Requeued job" in log.read_text()
    assert differences(whole, run) == []
