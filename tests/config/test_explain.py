"""A user's mistake ends with one line, a fault of the program with its traceback."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hydra.utils import instantiate

from digits.config.errors import explain
from digits.errors import DigitsError

from .conftest import CommandLine

Recipe = Callable[[Callable[[Any], Any]], None]


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Puts another function in the place of the recipe of a run."""

    def replace(run: Callable[[Any], Any]) -> None:
        module = ModuleType("digits.training.run")
        module.__dict__["run"] = run
        monkeypatch.setitem(sys.modules, "digits.training.run", module)

    return replace


def refuse(_: Any) -> None:
    raise DigitsError("there is nothing at data.dir; try data=sample")


def test_a_mistake_found_during_the_run_is_one_line_too(train: CommandLine, recipe: Recipe) -> None:
    recipe(refuse)

    code, _, stderr = train("name=run")

    assert code == 1
    assert stderr == "error: there is nothing at data.dir; try data=sample\n"


def test_a_sweep_ends_with_the_mistake_of_its_job_after_all_jobs_have_run(
    train: CommandLine, recipe: Recipe, tmp_path: Path
) -> None:
    recipe(refuse)

    code, _, stderr = train("-m", "name=sweep", "seed=0,1")

    assert code == 1
    assert stderr.endswith("\nerror: there is nothing at data.dir; try data=sample\n")
    assert "Traceback" not in stderr
    jobs = [path for path in (tmp_path / "outputs" / "sweeps" / "sweep").iterdir() if path.is_dir()]
    assert len(jobs) == 2


def test_a_file_that_is_no_text_or_no_yaml_is_named(train: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_bytes(b"# caf\xe9\n")
    code, _, stderr = train("--config-dir", f"{tmp_path}/mine", "experiment=mine")
    assert (code, stderr.count("\n")) == (1, 1), stderr
    assert f"error: {folder}/mine.yaml is not UTF-8 text" in stderr
    (folder / "mine.yaml").write_text("# @package _global_\noptim: [bad\n")
    code, _, stderr = train("--config-dir", f"{tmp_path}/mine", "experiment=mine")
    assert (code, stderr.count("\n")) == (1, 1), stderr
    assert f"error: {folder}/mine.yaml, line 3, column 1: expected ',' or ']'" in stderr


def test_a_fault_of_the_program_keeps_its_traceback(train: CommandLine, recipe: Recipe) -> None:
    def fail(_: Any) -> None:
        raise AttributeError("no attribute")

    recipe(fail)

    with pytest.raises(AttributeError, match="no attribute") as raised:
        train("name=run")
    assert any(entry.name == "fail" for entry in raised.traceback)


def test_what_was_right_runs_and_a_sweep_runs_each_job(
    train: CommandLine, recipe: Recipe, tmp_path: Path
) -> None:
    seeds = []

    def run(config: Any) -> dict[str, float]:
        seeds.append(config.seed)
        return {"val/accuracy": 1.0}

    recipe(run)

    assert train("seed=7").stderr == ""
    assert train("-m", "seed=1,2", "+trainer.max_steps=5").stderr == ""
    assert seeds == [7, 1, 2]
    assert len(list((tmp_path / "outputs" / "support").iterdir())) == 1


class Network:
    """Refuses a width below 1."""

    def __init__(self, width: int) -> None:
        if width < 1:
            raise ValueError("width must be at least 1\n(more of this)")
        self.missing = self.absent  # type: ignore[attr-defined]


def explain_network(**options: Any) -> str | None:
    with pytest.raises(Exception, match="Network") as raised:
        instantiate({"_target_": f"{__name__}.Network", **options})
    return explain(raised.value)


def test_what_a_class_refuses_is_the_users_to_mend() -> None:
    assert "width must be at least 1" in str(explain_network(width=0))
    assert "unexpected keyword argument 'wdith'" in str(explain_network(wdith=1))
    assert "\n" not in str(explain_network(width=0))


def test_what_fails_within_a_class_is_not() -> None:
    assert explain_network(width=1) is None


def test_lightnings_misconfiguration_is_one_line() -> None:
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    assert explain(MisconfigurationException("No GPU.\nMore.")) == "No GPU."


def test_a_full_disk_is_told_in_one_line() -> None:
    error = OSError(28, "No space left on device", "outputs/model.pt")

    assert explain(error) == "outputs/model.pt cannot be written or read (No space left on device)"
    assert explain(FileNotFoundError(2, "No such file", "our mistake")) is None
