"""However a training is stopped, and whatever it shares its work with, nothing is lost."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from kills import SETTINGS, differences, kill_and_resume
from support import REPO, WAITING, start_train_py, train, train_py

from digits.run_directory import read_run

pytestmark = pytest.mark.slow

LONG = (
    *("data=sample", "trainer=cpu", "model.hidden=[16]", "name=long", "trainer.max_epochs=12"),
    "+callbacks.wait._target_=support.WaitInThirdEpoch",
)
PATHS = os.pathsep.join([str(REPO / "src"), str(REPO / "tests")])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a long run that nothing has stopped."""
    folder = tmp_path_factory.mktemp("whole")
    ended = train_py(*LONG, cwd=folder, PYTHONPATH=PATHS)
    assert ended.returncode == 0, ended.stderr
    return folder / "outputs" / "runs" / "long"


def start_and_signal(
    number: signal.Signals, folder: Path, find: Callable[[int], int], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Send a signal to the process that trains, within its third epoch."""
    (folder / WAITING).touch()
    with start_train_py(*arguments, cwd=folder, PYTHONPATH=PATHS) as process:
        while (folder / WAITING).exists() and process.poll() is None:
            time.sleep(0.05)
        if process.poll() is None:
            os.kill(find(process.pid), number)
        stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


@pytest.mark.parametrize(
    ("number", "code", "status"),
    [
        (signal.SIGTERM, 143, ("stopped", "terminated")),
        (signal.SIGINT, 130, ("stopped", "interrupted")),
        (signal.SIGKILL, -9, ("running", "")),
    ],
)
def test_a_stopped_run_says_so_and_the_same_command_ends_it_bit_for_bit(
    number: signal.Signals, code: int, status: tuple[str, str], whole: Path, tmp_path: Path
) -> None:
    stopped = start_and_signal(number, tmp_path, lambda pid: pid, *LONG)
    assert stopped.returncode == code, stopped.stderr
    if code > 0:
        (line,) = stopped.stderr.splitlines()
        assert "to resume" in line
    run_dir = tmp_path / "outputs" / "runs" / "long"
    found = read_run(run_dir)
    assert (found.status, found.reason) == status
    log = (run_dir / "train.log").read_text()
    assert "Traceback" not in log and "litlogger" not in log
    resumed = train_py(*LONG, cwd=tmp_path, PYTHONPATH=PATHS)
    assert resumed.returncode == 0, resumed.stderr
    assert "resumed after step 110, from checkpoints/last.ckpt" in resumed.stdout
    assert differences(whole, run_dir) == []


def test_a_job_that_a_cluster_queues_again_is_resumed(whole: Path, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")

    def job(starter: int) -> int:
        found = subprocess.run(
            ["pgrep", "-f", "submitit.core._submit"], capture_output=True, text=True
        )
        return next(
            int(each)
            for each in found.stdout.split()
            if Path(f"/proc/{each}/cwd").resolve() == tmp_path.resolve()
        )

    arguments = ("-m", "hydra/launcher=submitit_local", "seed=0", *LONG)
    ended = start_and_signal(signal.SIGUSR2, tmp_path, job, *arguments)
    assert ended.returncode == 0, ended.stderr
    (run_dir,) = (tmp_path / "outputs" / "sweeps" / "long").glob("0_*")
    (log,) = (tmp_path / "outputs" / "sweeps" / "long").glob(".submitit/*/*.out")
    assert "Requeued job" in log.read_text()
    assert differences(whole, run_dir) == []


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting[0])
def test_kills_at_random_moments_change_nothing(setting: tuple[str, ...], tmp_path: Path) -> None:
    assert kill_and_resume(tmp_path, "alone", setting, most=0) == 0
    assert kill_and_resume(tmp_path, "killed", setting, most=2) <= 2
    runs = tmp_path / "outputs" / "runs"
    assert differences(runs / "alone", runs / "killed") == []
    assert not list(runs.rglob(".*.part-*"))


def test_two_processes_share_each_epoch_and_test_each_image_once(tmp_path: Path) -> None:
    few = ("data=sample", "trainer.max_epochs=2", "schedule=constant")
    options = ("trainer=ddp", "trainer.accelerator=cpu", "data.batch_size=32", "name=shared")
    ended = train_py(*options, *few, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("epoch 2/2") == 1  # one process speaks for both
    run_dir = tmp_path / "outputs" / "runs" / "shared"
    assert [path.name for path in run_dir.parent.iterdir()] == ["shared"]
    metrics = json.loads((run_dir / "metrics.json").read_text())
    assert (metrics["num_val"], metrics["num_test"]) == (500, 1000)
    # 3,500 images: 1,750 each, 55 minibatches of 32 an epoch
    last = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 110
    # The same global batch in other minibatches: equal but for the draw. Four standard deviations
    # of the difference of two accuracies on the same number of images.
    alone = train(tmp_path / "alone", "trainer=cpu", "data.batch_size=64", *few)["test/accuracy"]
    noise = 4 * (2 * alone * (1 - alone) / 1000) ** 0.5
    assert abs(metrics["test/accuracy"] - alone) < noise
