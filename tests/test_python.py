"""From Python: what the command line does, and nothing left changed."""

import asyncio
import logging
import os
import random
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from omegaconf.basecontainer import BaseContainer
from support import REPO, SMALL, train_py

import digits
from digits.data.datasets import load_sample

ONE = (*SMALL, "trainer.max_epochs=1", "logger=none")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def state() -> list[Any]:
    """Return what a run could leave changed in its process."""
    return [
        *(GlobalHydra.instance().hydra, dict(BaseContainer._resolvers), dict(os.environ)),
        *(torch.get_num_threads(), torch.get_default_dtype(), torch.get_rng_state().tolist()),
        *(torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark),
        *(
            np.random.get_state(legacy=False)["state"]["key"].tolist(),
            random.getstate(),
            warnings.filters[:],
            sys.argv[:],
        ),
        *(logging.root.level, logging.root.handlers[:], os.getcwd()),
    ]


@pytest.mark.slow
def test_a_run_is_bit_for_bit_that_of_the_command_line(tmp_path: Path) -> None:
    options = ("data.train_size=640", "model=dropout", "optim=sgd", "data=sample")
    run = digits.train(*options, "trainer.max_epochs=2", name="mine")
    done = train_py(*options, "trainer.max_epochs=2", "name=theirs", cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    mine, theirs = digits.runs("outputs")
    assert mine.dir.resolve() == run.dir == tmp_path / "outputs" / "runs" / "mine"
    weights = theirs.model.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in run.model.state_dict().items())
    times = ("train_time_s",)
    assert all(run.metrics[key] == theirs.metrics[key] for key in run.metrics if key not in times)
    files = [{each.name[:20] for each in one.dir.iterdir()} for one in (mine, theirs)]
    assert files[0] == files[1]  # the names of event files begin alike


def test_a_process_is_left_as_it_was_and_may_train_again_in_an_event_loop(tmp_path: Path) -> None:
    log = logging.FileHandler(tmp_path / "own.log", mode="w")
    logging.root.addHandler(log)
    torch.set_num_threads(2)
    try:
        with initialize_config_dir(str(REPO / "conf"), version_base="1.3"):
            before = state()

            async def cell() -> list[Any]:
                return [digits.train(*ONE, "trainer.deterministic=true", name="x") for _ in "ab"]

            first, again = asyncio.run(cell())
            unnamed = digits.train(*ONE, "+trainer.enable_progress_bar=false")
            with pytest.raises(digits.DigitsError):
                digits.train(*ONE, "model.hidden=[0]")
            assert state() == before
            assert compose("config", ["seed=3", "name=x"]).seed == 3
        logging.root.warning("still written")
        assert "still written" in (tmp_path / "own.log").read_text()
    finally:
        torch.set_num_threads(1)
        logging.root.removeHandler(log)
        log.close()
    assert first.metrics == again.metrics
    assert unnamed.dir != first.dir
    assert (first.dir / "train.log").exists() == (unnamed.dir / "train.log").exists()


def test_a_run_is_its_directory_metrics_history_and_model(tmp_path: Path) -> None:
    run = digits.train(*ONE, dir="here it's")
    assert run.dir == tmp_path / "here it's"
    (row,) = run.history  # of dictionaries of numbers, of which pandas makes a table
    assert row["epoch"] == 1 and {type(value) for value in row.values()} == {float}
    assert list(row) == (run.dir / "metrics.csv").read_text().splitlines()[0].split(",")
    assert row["val/accuracy"] == pytest.approx(run.metrics["val/accuracy"])
    test = load_sample("test")
    correct = run.model(test.images).argmax(dim=1) == test.labels
    assert correct.double().mean().item() == run.metrics["test/accuracy"]
    assert repr(run) == f"TrainedRun({str(run.dir)!r}, 'finished')"
    with pytest.raises(digits.DigitsError, match=r"or another dir$"):
        digits.train(*ONE, "seed=5", dir="here it's")
    with pytest.raises(digits.DigitsError, match="outputs is not a folder; try a run"):
        digits.runs("outputs")


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            [["seed=1"]],
            '[\'seed=1\'] is not a string KEY=VALUE; try digits.train("seed=1", "optim.lr=0.01")',
        ),
        (["model=dropuot"], "model=dropuot does not exist; try model=dropout"),
        (["optim.lr=-1"], "optim.lr must be greater than 0, got -1; try optim.lr=0.001"),
        (
            ["model=dropout optim=sgd"],
            "'model=dropout optim=sgd': one override per argument; "
            "write 'model=dropout' and 'optim=sgd'",
        ),
        (["seed=0,1"], "seed=0,1 names several values; call once for each of them"),
        (["-m"], '\'-m\' is not a string KEY=VALUE; try digits.train("seed=1", "optim.lr=0.01")'),
    ],
)
def test_a_mistake_is_the_command_lines_one_line(overrides: list[Any], line: str) -> None:
    for function in (digits.train, digits.compose):
        with pytest.raises(digits.DigitsError) as raised:
            function(*overrides)
        assert str(raised.value) == line
    assert not Path("outputs").exists()


def test_ctrl_c_is_a_keyboard_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)  # as Lightning does

    monkeypatch.setattr("digits.training.run.run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        digits.train(*ONE)


def test_a_configuration_is_composed_and_resolved() -> None:
    config = digits.compose("model=dropout", "optim.lr=0.5", "name=x")
    assert (config.optim.lr, config.name, "hydra" in config) == (0.5, "x", False)
    assert OmegaConf.to_container(config, resolve=False) == OmegaConf.to_container(config)
