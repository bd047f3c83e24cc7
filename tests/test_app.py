"""What is around a run: exit codes, errors after it began, and what a job is given."""

import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from digits.errors import DigitsError

Recipe = Callable[[Callable[..., Any]], None]
CommandLine = Callable[..., Any]


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Put another function in the place of the recipe of a run."""

    def replace(run: Callable[..., Any]) -> None:
        module = ModuleType("digits.training.run")
        module.__dict__["run"] = run
        monkeypatch.setitem(sys.modules, "digits.training.run", module)

    return replace


def refuse(*_: Any, **__: Any) -> None:
    raise DigitsError("there is nothing at data.dir; try data=sample")


def test_what_was_right_runs_and_a_sweep_runs_each_job(
    command_line: CommandLine, recipe: Recipe, tmp_path: Path
) -> None:
    runs = []

    def run(config: Any, run_dir: Path, *, quiet: bool) -> dict[str, float]:
        runs.append((config.seed, run_dir.name, quiet))
        return {"val/accuracy": 1.0}

    recipe(run)

    assert command_line("seed=7", "name=one") == (0, "", "")
    assert command_line("seed=1,2", "-m", "+trainer.max_steps=5").stderr == ""
    assert [(seed, quiet) for seed, _, quiet in runs] == [(7, False), (1, True), (2, True)]
    assert [name for _, name, _ in runs] == [
        "one",
        "0_seed-1_max_steps-5",
        "1_seed-2_max_steps-5",
    ]
    assert len(list((tmp_path / "outputs" / "runs").iterdir())) == 1


def test_a_mistake_found_during_the_run_is_one_line_too(
    command_line: CommandLine, recipe: Recipe
) -> None:
    recipe(refuse)

    code, _, stderr = command_line("name=run")

    assert (code, stderr) == (1, "error: there is nothing at data.dir; try data=sample\n")


def test_a_sweep_ends_with_the_mistake_of_its_job_after_all_jobs_have_run(
    command_line: CommandLine, recipe: Recipe, tmp_path: Path
) -> None:
    recipe(refuse)

    code, _, stderr = command_line("-m", "name=sweep", "seed=0,1")

    assert code == 1
    assert stderr.endswith("error: there is nothing at data.dir; try data=sample\n")
    assert "Traceback" not in stderr
    jobs = [path for path in (tmp_path / "outputs" / "sweeps" / "sweep").iterdir() if path.is_dir()]
    assert len(jobs) == 2


def test_a_fault_of_the_program_keeps_its_traceback(
    command_line: CommandLine, recipe: Recipe
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AttributeError("no attribute")

    recipe(fail)

    with pytest.raises(AttributeError, match="no attribute") as raised:
        command_line("name=run")
    assert any(entry.name == "fail" for entry in raised.traceback)


def interrupt() -> None:
    """Press Ctrl-C, and do what Lightning makes of it."""
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        sys.exit(1)


@pytest.mark.parametrize(
    ("stop", "code", "word"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGINT), 130, "interrupted"),
        (interrupt, 130, "interrupted"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), 143, "terminated"),
    ],
)
@pytest.mark.parametrize("arguments", [["name=one"], ["-m", "name=one", "seed=0,1"]])
def test_a_signal_has_its_exit_code_and_its_handler_is_given_back(
    command_line: CommandLine,
    recipe: Recipe,
    stop: Callable[[], None],
    code: int,
    word: str,
    arguments: list[str],
) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    started = []

    def run(*_: Any, **__: Any) -> None:
        started.append(1)
        stop()

    recipe(run)

    ended = command_line(*arguments)

    assert (ended.code, started) == (code, [1])
    assert ended.stderr == f"{word}; run the same command with name=one to resume\n"
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        ((), r"name=\d{4}-[\d_-]+_baseline-adam-half"),
        (("-m", "hydra/sweeper=optuna", "optim.lr=interval(0.1,0.2)"), r"name=\d{4}-[\d_-]+"),
        (("-m", "seed=0,1"), r"name=\d{4}-[\d_-]+"),
        (("hydra.run.dir=a b",), "'hydra.run.dir=a b'"),
    ],
)
def test_an_interrupted_run_says_by_what_it_is_resumed(
    command_line: CommandLine, recipe: Recipe, tmp_path: Path, arguments: tuple[str], remedy: str
) -> None:
    recipe(lambda *_, **__: interrupt())
    ended = command_line(*arguments)
    told = f"interrupted; run the same command with ({remedy}) to resume\n"
    found = re.fullmatch(told, ended.stderr)
    assert found, ended.stderr
    place = found[1].strip("'").partition("=")[2]
    assert [*tmp_path.glob(f"**/{place}")], "no directory of that name"


def test_each_job_of_a_sweep_has_a_gpu_of_its_own(
    command_line: CommandLine, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    given = []

    def run(config: Any, *_: Any, **__: Any) -> dict[str, Any]:
        given.append(config.trainer.devices)
        return {"val/accuracy": None}

    recipe(run)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    assert command_line("-m", "name=a", "seed=0,1,2").code == 0
    assert command_line("-m", "name=b", "seed=0,1", "trainer=cpu").code == 0
    assert command_line("seed=0").code == 0
    assert given == [[0], [1], [0], 1, 1, 1]
