"""status.json: how a run ended, and the code, the packages and the machine that made it."""

import platform
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from digits.errors import DigitsError, Pruned, Terminated
from digits.run_directory import read_status
from digits.training import status as module
from digits.training.status import git_commit, recorded_status


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (KeyboardInterrupt(), "stopped", "interrupted"),
        (Terminated(), "stopped", "terminated"),
        (SystemExit(-1), "stopped", "exit code -1"),
        (Pruned("after epoch 2 of 9"), "pruned", "after epoch 2 of 9"),
        (DigitsError("no such thing; try another"), "failed", "no such thing; try another"),
        (ZeroDivisionError("by zero\nindeed"), "failed", "ZeroDivisionError: by zero"),
        (None, "finished", ""),
    ],
)
def test_a_status_says_how_a_run_ended(
    error: BaseException | None,
    status: str,
    reason: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    config = {"trainer": {"max_epochs": 3}}

    def end() -> None:
        with recorded_status(tmp_path, config):
            assert read_status(tmp_path)["status"] == "running"
            if error is not None:
                raise error

    if error is None:
        end()
    else:
        with pytest.raises(type(error)):
            end()
    found = read_status(tmp_path)
    assert (found["status"], found["reason"], found["config"]) == (status, reason, config)
    made = found["made_with"]
    assert made["versions"]["python"] == platform.python_version()
    assert made["versions"]["numpy"] == np.__version__
    assert torch.__version__.startswith(made["versions"]["torch"])
    assert made["machine"]["processor"] and made["machine"]["cores"] > 0
    # Only a fault has its traceback in train.log.
    assert bool([each for each in caplog.records if each.exc_info]) == (status == "failed")


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    command = ("git", "-C", str(folder), *who, *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_that_at_the_start_and_says_whether_all_was_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    assert git_commit() is None  # an installed package
    git(tmp_path, "init", "-q")
    assert git_commit() == {"commit": "(initial)", "clean": True}
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-q", "-m", "a")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert git_commit() == {"commit": head, "clean": True}
    (tmp_path / "new").write_text("")
    assert git_commit() == {"commit": head, "clean": False}
    (tmp_path / "new").unlink()
    (tmp_path / "a").write_text("2")
    assert git_commit() == {"commit": head, "clean": False}
    monkeypatch.setenv("PATH", "")
    assert git_commit() is None
