"""What status.json says of the code, the packages and the machine that made a run."""

import platform
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from digits.training import made_with as module
from digits.training.made_with import Commit, made_with


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    command = ("git", "-C", str(folder), *who, *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_that_at_the_start_and_says_whether_all_was_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    assert Commit().read() is None  # an installed package
    git(tmp_path, "init", "-q")
    assert Commit().read() == {"commit": "(initial)", "clean": True}
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-q", "-m", "a")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert Commit().read() == {"commit": head, "clean": True}
    (tmp_path / "new").write_text("")
    assert Commit().read() == {"commit": head, "clean": False}
    (tmp_path / "new").unlink()
    (tmp_path / "a").write_text("2")
    assert Commit().read() == {"commit": head, "clean": False}
    monkeypatch.setenv("PATH", "")
    assert Commit().read() is None


def test_versions_are_the_packages_own_and_the_machine_is_named() -> None:
    found = made_with(Commit())
    versions = found["versions"]
    assert versions["python"] == platform.python_version()
    assert versions["numpy"] == np.__version__
    assert torch.__version__.startswith(versions["torch"])
    assert found["machine"]["processor"] and found["machine"]["cores"] > 0
