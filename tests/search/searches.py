"""Searches in this process, as `python train.py` does them."""

import contextlib
import io
import logging
import os
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import optuna
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from optuna.trial import FrozenTrial

REPO = Path(__file__).parents[2]

SEARCH = ("-m", "hydra/sweeper=optuna")
TINY = (
    *("data=sample", "data.train_size=640", "trainer=cpu", "trainer.max_epochs=1"),
    *("model.hidden=[8]", "logger=none"),
)
"""A run of a quarter of a second."""


class Ended(NamedTuple):
    """How a command ended."""

    code: object
    stdout: str
    stderr: str


def train_here(folder: Path, *arguments: str) -> Ended:
    """Run `python train.py ARGUMENTS` in a folder, in this process."""
    torch.set_num_threads(1)  # on a busy machine two threads wait for each other
    stdout, stderr = io.StringIO(), io.StringIO()
    with _as_before(), contextlib.chdir(folder):
        sys.argv = [str(REPO / "train.py"), *arguments]
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            try:
                runpy.run_path(sys.argv[0], run_name="__main__")
                code: object = 0
            except SystemExit as stopped:
                code = stopped.code or 0
    return Ended(code, stdout.getvalue(), stderr.getvalue())


@contextlib.contextmanager
def _as_before() -> Iterator[None]:
    """Put back what Hydra and train.py keep for the whole process."""
    level, handlers = logging.root.level, logging.root.handlers[:]
    hydra_level, arguments = logging.getLogger("hydra").level, sys.argv
    full_error = os.environ.get("HYDRA_FULL_ERROR", "0")
    try:
        yield
    finally:
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None
        for handler in set(logging.root.handlers) - set(handlers):
            handler.close()
        logging.root.setLevel(level)
        logging.root.handlers[:] = handlers
        logging.getLogger("hydra").setLevel(hydra_level)
        sys.argv, os.environ["HYDRA_FULL_ERROR"] = arguments, full_error


def trials_of(sweep: Path) -> list[FrozenTrial]:
    """Return the trials of a search, read as anybody would who has Optuna only."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{sweep / 'study.db'}")
    try:
        return optuna.load_study(study_name=sweep.name, storage=storage).trials
    finally:
        storage.remove_session()
        storage.engine.dispose()
