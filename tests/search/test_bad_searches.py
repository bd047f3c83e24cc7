"""Every search that cannot be done ends with one line, before anything is read or made."""

import importlib.util
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from searches import REPO, SEARCH, train_here

from digits.errors import DigitsError
from digits.search.options import read_options

OPTIONS = {
    **{"n_trials": None, "sampler": "tpe", "seed": 0, "pruner": None, "n_jobs": None},
    "objectives": ["val/accuracy"],
}
LR = "'optim.lr=tag(log,interval(1e-4,1e-1))'"
TWO = "optim.lr=interval(1e-4,1e-1) data.batch_size=int(interval(16,64))"

TABLE = [
    ("optim.lr=0.1", "nothing to search; try 'optim.lr=tag(log,interval(1e-4,1e-1))'"),
    ("optim.lr=interval(-1,1)", "optim.lr must be a number above 0, got -1.0"),
    ("optim.lrr=interval(0.1,1)", "try optim.lr="),
    ("optim.lr=interval(1,0.5)", "is empty"),
    ("seed=1,2", "only 2 different trials are possible; try hydra.sweeper.sampler=grid"),
    (f"{LR} hydra.sweeper.sampler=grid", "try optim.lr=0.0001,0.05005 or hydra.sweeper.sampler"),
    (f"{LR} hydra.sweeper.sampler=cmaes", "two or more intervals or ranges"),
    (
        f"{TWO} hydra.sweeper.sampler=cmaes hydra.sweeper.objectives=[val/accuracy,train_time_s]",
        "searches for one objective, got 2",
    ),
    (f"{LR} hydra.sweeper.ntrials=5", "try hydra.sweeper.n_trials=5"),
    (f"{LR} +hydra.sweeper.ntrials=5", "try hydra.sweeper.n_trials=5"),
    (f"{LR} hydra.sweeper.n_jobs=2", "try hydra/launcher=parallel"),
    (f"{LR} hydra.sweeper.objectives=[test/accuracy]", "would make it no test any more"),
]


@pytest.mark.parametrize(("command", "told"), TABLE, ids=[line[-60:] for line, _ in TABLE])
def test_a_wrong_search_ends_with_one_line(command: str, told: str, tmp_path: Path) -> None:
    code, stdout, stderr = train_here(tmp_path, *SEARCH, *shlex.split(command))
    assert (code, stdout) == (1, "")
    assert stderr.startswith("error: ") and stderr.count("\n") == 1
    assert told in stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("n_trials", 0, "a whole number of at least 1, got 0; try hydra.sweeper.n_trials=20"),
        ("sampler", "bayes", "one of tpe, cmaes, gp, random, grid, got bayes"),
        ("pruner", "mean", "one of median, hyperband, null, got mean"),
        ("seed", -1, "got -1; try hydra.sweeper.seed=0"),
        ("objectives", "val/loss", "must be a list of one or more values"),
        ("objectives", ["val/acc"], "try hydra.sweeper.objectives=[val/accuracy]"),
        ("objectives", ["val/loss", "test/loss"], "would make it no test any more"),
        ("n_trial", 3, "hydra.sweeper.n_trial is unknown, nothing reads it; try"),
    ],
)
def test_a_wrong_option_is_named_with_what_was_expected(key: str, value: Any, told: str) -> None:
    assert read_options(OPTIONS).objectives == ("val/accuracy",)
    with pytest.raises(DigitsError) as refusal:
        read_options(OPTIONS | {key: value})
    assert told in str(refusal.value)


def test_hydras_own_sweeper_is_not_given_an_interval(tmp_path: Path) -> None:
    ended = train_here(tmp_path, "-m", "optim.lr=interval(0.1,0.2)")
    assert ended.code == 1
    assert "try hydra/sweeper=optuna, or some values: optim.lr=A,B" in ended.stderr


@pytest.mark.parametrize(("sampler", "package"), [("tpe", "optuna"), ("cmaes", "cmaes")])
def test_a_missing_package_is_named_with_its_remedy(
    sampler: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec

    def without(name: str, *arguments: Any) -> Any:
        return None if name == package else find_spec(name, *arguments)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    with pytest.raises(DigitsError, match=rf"needs the package {package}.*digits\[search\]"):
        read_options(OPTIONS | {"sampler": sampler})


def test_a_command_that_does_not_search_does_not_import_optuna(tmp_path: Path) -> None:
    code = "import sys, hydra_plugins.digits_optuna.sweeper as _, digits.config.check as _; "
    code += "sys.exit(any(name in sys.modules for name in ('optuna', 'numpy', 'torch')))"
    subprocess.run([sys.executable, "-c", code], cwd=REPO / "src", check=True)
