"""What all tests share: one thread each, and the real train.py run in this process."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

# Before torch is imported, and for every process that a test starts: none waits for another.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"


@pytest.fixture
def command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that is `python train.py ARGUMENTS`, in an empty folder."""
    from support import train_here  # imports torch

    monkeypatch.chdir(tmp_path)
    return partial(train_here, tmp_path)
