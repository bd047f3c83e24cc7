"""Processes that train together stop together, whenever they are told to."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from runs import REPO

from digits.runs import STOPPED, read_status
from digits.training.checkpoints import read_checkpoint

SHARED = ("data=sample", "trainer=ddp", "model.hidden=[16]", "name=shared")
ON_SCREEN = "screen.txt"
SLOW = """
import pathlib, time
from pytorch_lightning import Callback

class SlowTest(Callback):
    def on_test_batch_start(self, *_, **__):
        pathlib.Path("testing").touch()
        time.sleep(3)
"""


def stop(
    folder: Path,
    when: Callable[[], object],
    number: signal.Signals | None,
    everyone: bool,
    *options: str,
) -> subprocess.CompletedProcess[str]:
    """Starts a run of two processes, and signals the first one, or all, once `when()` is true."""
    command = [sys.executable, str(REPO / "train.py"), *options]
    paths = os.pathsep.join([str(REPO / "src"), str(folder)])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    with (
        (folder / ON_SCREEN).open("w") as screen,
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=screen,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # as a terminal's foreground job, which Ctrl-C reaches whole
        ) as process,
    ):
        deadline = time.monotonic() + 120
        while not when() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if number is not None:
            (os.killpg if everyone else os.kill)(process.pid, number)
        _, stderr = process.communicate(timeout=120)
        return subprocess.CompletedProcess(command, process.returncode, "", stderr)


def processes(folder: Path) -> list[str]:
    """Returns the processes of runs that were started in `folder`, once ending ones had time to."""
    time.sleep(1)
    found = subprocess.run(["pgrep", "-f", "train.py"], capture_output=True, text=True).stdout
    return [each for each in found.split() if Path(f"/proc/{each}/cwd").resolve() == folder]


TERM, INT = signal.SIGTERM, signal.SIGINT


@pytest.mark.parametrize(
    ("phase", "number", "everyone", "sweep"),
    [
        ("start", TERM, False, ()),
        ("start", INT, True, ()),
        ("start", TERM, True, ("-m", "seed=0,1")),
        ("training", TERM, False, ()),
        ("training", INT, True, ("-m", "seed=0,1")),
        ("test", TERM, True, ()),
    ],
)
def test_processes_that_train_together_stop_together(
    phase: str,
    number: signal.Signals,
    everyone: bool,
    sweep: tuple[str, ...],
    tmp_path: Path,
) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    options = {
        "start": ("trainer.max_epochs=300",),
        "training": ("trainer.max_epochs=300",),
        "test": ("trainer.max_epochs=1", "+callbacks.slow._target_=slow.SlowTest"),
    }[phase]
    when = {
        "start": lambda: list(tmp_path.rglob("status.json")),  # the second process is not yet there
        "training": lambda: list(tmp_path.rglob("last.ckpt")),
        "test": (tmp_path / "testing").exists,
    }[phase]
    stopped = stop(tmp_path, when, number, everyone, *sweep, *SHARED, *options)
    assert stopped.returncode == {TERM: 143, INT: 130}[number], stopped.stderr
    (line,) = stopped.stderr.splitlines()
    assert line.endswith("the same command with name=shared goes on")
    assert processes(tmp_path) == []
    (status,) = tmp_path.rglob("status.json")  # of a sweep, no further job was begun
    assert read_status(status.parent)["status"] == STOPPED
    if phase != "start":
        last = status.parent / "checkpoints" / "last.ckpt"
        assert read_checkpoint(last)["global_step"] > 0


def test_a_run_of_which_a_process_was_killed_says_so_without_a_traceback(tmp_path: Path) -> None:
    def second_was_killed() -> bool:
        if not list(tmp_path.rglob("last.ckpt")):
            return False
        (second,) = (
            each
            for each in processes(tmp_path)
            if b"\0LOCAL_RANK=1\0" in Path(f"/proc/{each}/environ").read_bytes()
        )
        os.kill(int(second), signal.SIGKILL)
        return True

    options = (*SHARED, "trainer.max_epochs=300")
    stopped = stop(tmp_path, second_was_killed, None, False, *options)
    assert stopped.returncode == 1
    assert stopped.stderr.splitlines()[-1].startswith(
        "error: a process that shared this run was killed by signal 9; the same command"
    )
    assert "Traceback" not in stopped.stderr
    assert processes(tmp_path) == []


def test_what_shares_a_run_with_a_killed_process_ends_with_it(tmp_path: Path) -> None:
    def trains() -> object:
        return list(tmp_path.rglob("last.ckpt"))

    killed = stop(tmp_path, trains, signal.SIGKILL, False, *SHARED, "trainer.max_epochs=300")
    assert killed.returncode == -signal.SIGKILL
    time.sleep(2)
    assert processes(tmp_path) == []
