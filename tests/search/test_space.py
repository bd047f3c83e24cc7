"""The search space, compared with what Hydra itself makes of its syntax; wrong searches."""

import math
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from searches import SEARCH
from support import REPO, train_here

from digits.errors import DigitsError
from digits.search.space import distribution, num_values


def parse(line: str) -> Override:
    (override,) = OverridesParser.create().parse_overrides([line])
    return override


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int(interval(16,256))", IntDistribution(16, 256)),
        ("tag(log, int(interval(16,256)))", IntDistribution(16, 256, log=True)),
        ("range(1,8,3)", IntDistribution(1, 7, step=3)),
        ("range(5,1,-1)", IntDistribution(2, 5)),
        ("shuffle(range(1,4))", IntDistribution(1, 3)),
        ("range(0,0.5,0.1)", FloatDistribution(0, 0.4, step=0.1)),
        ("a,b", CategoricalDistribution(("a", "b"))),
        ("shuffle(a,b,c)", CategoricalDistribution(("a", "b", "c"))),
        ("[128,64],[512]", CategoricalDistribution(("[128,64]", "[512]"))),
        ("true,null,1.5", CategoricalDistribution(("True", "null", "1.5"))),
    ],
)
def test_each_form_is_the_space_that_hydra_documents(text: str, expected: BaseDistribution) -> None:
    assert distribution(parse(f"k={text}")) == expected


def test_an_interval_does_not_hold_its_upper_limit() -> None:
    found = distribution(parse("k=tag(log, interval(1e-4,1))"))
    assert isinstance(found, FloatDistribution) and found.log
    assert found.low == 1e-4
    assert 1 - 1e-15 < found.high < 1
    assert num_values(found) == math.inf


@pytest.mark.parametrize("text", ["range(1,9)", "range(1,9,3)", "range(0,0.5,0.1)", "a,b", "1,2,3"])
def test_there_are_as_many_values_as_hydras_own_sweeper_would_try(text: str) -> None:
    override = parse(f"k={text}")
    assert num_values(distribution(override)) == len(list(override.sweep_string_iterator()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("interval(1,0)", "`low <= high` must hold"),
        ("range(5,1)", "the range is empty"),
        ("tag(log,interval(0,1))", "low=0"),
    ],
)
def test_what_is_not_a_space_is_refused(text: str, expected: str) -> None:
    with pytest.raises(DigitsError) as refusal:
        distribution(parse(f"k={text}"))
    assert str(refusal.value).startswith(f"k={text}: ")
    assert expected in str(refusal.value)


LR = "'optim.lr=tag(log,interval(1e-4,1e-1))'"
TWO = "optim.lr=interval(1e-4,1e-1) data.batch_size=int(interval(16,64))"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("optim.lr=0.1", "nothing to search; try 'optim.lr=tag(log,interval(1e-4,1e-1))'"),
        ("optim.lr=interval(1,0.5)", "optim.lr=interval(1,0.5): "),
        ("seed=1,2", "only 2 different trials are possible; try hydra.sweeper.sampler=grid"),
        (f"{LR} hydra.sweeper.sampler=grid", "infinitely many; try hydra.sweeper.sampler=tpe"),
        (f"{LR} hydra.sweeper.sampler=cmaes", "two or more intervals or ranges"),
        (
            f"{TWO} hydra.sweeper.sampler=cmaes hydra.sweeper.objectives=[val/accuracy,val/loss]",
            "for one objective, got 2 for 2",
        ),
        (f"{LR} hydra.sweeper.objectives=[test/accuracy]", "must be val/accuracy, val/loss"),
    ],
)
def test_a_wrong_search_ends_with_one_line(command: str, expected: str, tmp_path: Path) -> None:
    code, stdout, stderr = train_here(tmp_path, *SEARCH, *shlex.split(command))
    assert (code, stdout) == (1, "")
    assert stderr.startswith("error: ") and stderr.count("\n") == 1
    assert expected in stderr
    assert not any(tmp_path.iterdir())


def test_hydras_own_sweeper_is_not_given_an_interval(tmp_path: Path) -> None:
    ended = train_here(tmp_path, "-m", "optim.lr=interval(0.1,0.2)")
    assert ended.code == 1
    assert "try hydra/sweeper=optuna, or some values: optim.lr=A,B" in ended.stderr


def test_a_command_that_does_not_search_does_not_import_optuna() -> None:
    code = "import sys, hydra_plugins.digits_optuna, digits.search.space; "
    code += "sys.exit(any(name in sys.modules for name in ('optuna', 'numpy', 'torch')))"
    subprocess.run([sys.executable, "-c", code], cwd=REPO / "src", check=True)
