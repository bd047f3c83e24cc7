"""A user's mistake becomes one line, a fault of the program does not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import HydraException, InstantiationException
from lightning_fabric.utilities.exceptions import MisconfigurationException

from digits.config.errors import explain
from digits.data.split import stratified_split


class Network:
    """Refuses a width below 1."""

    def __init__(self, width: int) -> None:
        if width < 1:
            raise ValueError("width must be at least 1\n(more of this)")
        self.missing = self.absent  # type: ignore[attr-defined]


def explain_call(function: Callable[..., Any], **options: Any) -> str | None:
    with pytest.raises((ValueError, AttributeError, TypeError), match=r"[a-z]") as raised:
        function(**options)
    cause = raised.value
    assert cause.__traceback__
    error = InstantiationException("Error in call to target 'it':")
    error.__cause__ = cause.with_traceback(cause.__traceback__.tb_next)  # without this function
    return explain(error)


def test_what_a_class_refuses_is_the_users_to_mend() -> None:
    told = "it: ValueError: width must be at least 1 (test_errors.py, line 20)"
    assert explain_call(Network, width=0) == told


def test_what_fails_within_a_class_of_the_users_is_told_with_its_place() -> None:
    told = "AttributeError: 'Network' object has no attribute 'absent' (test_errors.py, line 21)"
    assert told in str(explain_call(Network, width=1))


def test_what_fails_within_digits_is_not() -> None:
    assert explain_call(stratified_split, labels=1, size=1, seed=0) is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MisconfigurationException("No GPU.\nMore."), "No GPU."),
        (
            OSError(28, "disk full", "model.pt"),
            "model.pt cannot be written or read (disk full); "
            "free some space and run the same command again",
        ),
        (
            OSError(21, "Is a folder", "a.csv"),
            "a.csv cannot be written or read (Is a folder)",
        ),
        (FileNotFoundError(2, "No such file", "our mistake"), None),
        (
            HydraException("In 'hydra/launcher/parallel': Could not load 'hydra/launcher/joblib'."),
            "hydra/launcher joblib needs packages that are not installed; "
            "try pip install 'digits[sweep]'",
        ),
    ],
)
def test_a_fault_of_the_machine_is_one_line(error: Exception, expected: str | None) -> None:
    assert explain(error) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"# caf\xe9\n", "a file is not UTF-8 text"),
        (b"optim: [bad\n", "mine/experiment/mine.yaml, line 2, column 1: "),
    ],
)
def test_a_file_that_is_not_text_or_not_yaml_is_named(
    command_line: Callable[..., Any], tmp_path: Path, content: bytes, expected: str
) -> None:
    file = tmp_path / "mine" / "experiment" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)

    code, _, stderr = command_line("--config-dir", f"{tmp_path}/mine", "experiment=mine")

    assert (code, stderr.count("\n")) == (1, 1), stderr
    assert expected in stderr


def test_causes_that_lead_back_to_where_they_began_end() -> None:
    first, second = OSError("a"), OSError("b")
    first.__cause__, second.__cause__ = second, first
    assert explain(first) is None


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        (
            "experiment",
            "optim: {lr: 0.1}",
            "begin its YAML file with the line '# @package _global_'",
        ),
        ("debug", "optim: {lr: 0.1}", "begin its YAML file with the line '# @package _global_'"),
        (
            *("experiment", "# @package _global_\ndefaults: [override /optim: sdg]"),
            "optim=sdg does not exist; try optim=sgd",
        ),
        (
            *("experiment", "# @package _global_\ndefaults: [/optim: sgd]"),
            "optim is chosen twice (in a YAML file's defaults, write '- override /optim: sgd')",
        ),
        (
            *("experiment", "# @package _global_\ndefaults: [override /debug: none]"),
            "experiment/mine.yaml overrides debug, which is chosen nowhere before it; take it out",
        ),
        (
            *("experiment", "# @package _global_\ndefaults: [override /optm: sgd]"),
            "experiment/mine.yaml overrides optm, which is chosen nowhere before it; "
            "try '- override /optim: OPTION'",
        ),
        ("model", "", "a YAML file for model has a line '_target_: MODULE.CLASS'"),
        ("model", "- 1", "a YAML file for model has a line '_target_: MODULE.CLASS'"),
        ("model", "hidden: [1]", "a YAML file for model has a line '_target_: MODULE.CLASS'"),
        (
            *("optim", "_target_: torch.optim.Adam\nlr: '0.003'"),
            "optim.lr must be a number, got 0.003 as text; try optim.lr=0.003",
        ),
    ],
)
def test_a_file_that_lacks_what_hydra_needs_is_told_what_to_write(
    command_line: Callable[..., Any], tmp_path: Path, file: str, content: str, expected: str
) -> None:
    folder = tmp_path / "mine" / file
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(content)

    code, _, stderr = command_line("--config-dir", f"{tmp_path}/mine", f"{file}=mine")

    assert (code, stderr.count("\n")) == (1, 1), stderr
    assert expected in stderr


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ("hydra.sweeper", "hydra: {sweeper: {params: {optim.lr: '0.001,0.01'}}}"),
        ("hydra.launcher", "defaults: [override /hydra/launcher: joblib]"),
    ],
)
def test_a_sweep_over_experiments_that_bring_a_sweep_is_refused(
    command_line: Callable[..., Any], tmp_path: Path, part: str, content: str
) -> None:
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "quiet.yaml").write_text("# @package _global_\nseed: 1\n")
    (folder / "loud.yaml").write_text(f"# @package _global_\n{content}\n")
    where = ("-m", "--config-dir", f"{tmp_path}/mine", f"hydra.sweep.dir={tmp_path}/sweep")

    for choices in ("quiet,loud", "loud,quiet"):
        code, stdout, stderr = command_line(*where, f"experiment={choices}")

        assert (code, stdout, stderr.count("\n")) == (1, "", 1), stderr
        assert f"experiment=loud sets {part}, which a sweep over it cannot use" in stderr
        assert "as -m experiment=loud" in stderr
    assert not (tmp_path / "sweep").exists()
