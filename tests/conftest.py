"""What all tests share: one thread each, and the real train.py run in this process."""

import logging
import os
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

# Before torch is imported, and for every process that a test starts: none waits for another.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

TRAIN = Path(__file__).parents[1] / "train.py"


class Ended(NamedTuple):
    """How a command ended: its exit code, and what it wrote."""

    code: object
    stdout: str
    stderr: str


@pytest.fixture
def _hydra_as_new() -> Iterator[None]:
    """Put back what Hydra keeps for the whole process."""
    level, handlers = logging.root.level, logging.root.handlers[:]
    yield
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None
    logging.root.setLevel(level)
    logging.root.handlers[:] = handlers


@pytest.fixture
def command_line(
    _hydra_as_new: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Callable[..., Ended]:
    """Return a function that is `python train.py ARGUMENTS`, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("HYDRA_FULL_ERROR", "DIGITS_STARTED"):  # train.py sets them; this puts them back
        monkeypatch.setenv(name, os.environ.get(name, ""))

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", [str(TRAIN), *arguments])
        capfd.readouterr()
        try:
            runpy.run_path(str(TRAIN), run_name="__main__")
            code: object = 0
        except SystemExit as stopped:
            code = stopped.code or 0
        return Ended(code, *capfd.readouterr())

    return run
