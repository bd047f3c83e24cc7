"""Starting from the weights of another run."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from kills import differences
from support import SMALL, PowerCutError, cut, train, train_here

from digits import load
from digits.errors import DigitsError
from digits.groups import group_runs
from digits.run_directory import read_run

SHORT = (*SMALL, "trainer.max_epochs=2")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("runs") / "first"
    train(run_dir, *SHORT, quiet=True)
    return run_dir


@pytest.mark.parametrize("file", ["", "model.pt", "checkpoints/best.ckpt"])
def test_a_run_starts_from_the_weights_of_another(first: Path, file: str, tmp_path: Path) -> None:
    # So small a learning rate leaves them as they are.
    metrics = train(tmp_path / "a", *SHORT, f"init_from={first / file}", "optim.lr=1e-20")
    given, kept = (load(run_dir).network.state_dict() for run_dir in (first, tmp_path / "a"))
    assert given.keys() == kept.keys()
    assert all(torch.equal(given[name], kept[name]) for name in given)
    assert re.fullmatch(r"first@[0-9a-f]{8}", metrics["init_from"])


def test_it_is_resumed_without_that_run_and_compared_as_what_it_is(
    first: Path, tmp_path: Path
) -> None:
    gone = shutil.copytree(first, tmp_path / "gone")
    options = (*SHORT, f"init_from={gone}")
    train(tmp_path / "whole", *options)
    with pytest.raises(PowerCutError):
        train(tmp_path / "cut", *options, cut(1))
    shutil.rmtree(gone)
    metrics = train(tmp_path / "cut", *options, "resume=must")
    assert differences(tmp_path / "whole", tmp_path / "cut") == []
    assert metrics["init_from"].startswith("gone@")
    refused = r"holds a run with init_from=.*, and cannot be resumed with init_from=null"
    with pytest.raises(DigitsError, match=refused):
        train(tmp_path / "cut", *SHORT)
    groups = group_runs([read_run(each) for each in (first, tmp_path / "whole", tmp_path / "cut")])
    assert [(len(each.runs), len(each.repeated)) for each in groups] == [(1, 0), (1, 1)]
    assert groups[1].name == f"init_from={metrics['init_from']}"


def test_another_network_is_named(first: Path, tmp_path: Path) -> None:
    for option, told in {
        "model.hidden=[32]": r"1\.weight: .*\[16, 784\].*\[32, 784\].*; try the model, with its",
        "model.hidden=[16,16]": r'Missing .*"5\.weight"',
        "model=cnn": r'Missing .*"2\.weight"',
    }.items():
        overrides = [each for each in SHORT if not option.startswith(each.partition("=")[0])]
        if option == "model=cnn":
            overrides = [each for each in overrides if "hidden" not in each]
        with pytest.raises(DigitsError, match=f"init_from={first} is of another network: .*{told}"):
            train(tmp_path / "other", *overrides, option, f"init_from={first}")


def test_what_cannot_be_started_from_is_named_before_anything_is_written(
    first: Path, tmp_path: Path
) -> None:
    ended = train_here(tmp_path, "data=sample", "init_from=outputs/runs/frist")
    assert ended.stderr == "error: init_from: run directory outputs/runs/frist does not exist\n"
    other = train_here(tmp_path, "data=sample", f"init_from={first}")
    assert f"init_from={first} is of another network: " in other.stderr
    assert "5.weight" in other.stderr
    assert ended.code == other.code == 1 and not list(tmp_path.iterdir())
