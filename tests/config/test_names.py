"""Names of run directories."""

import re

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import open_dict

from digits.config.resolvers import job_name, run_name
from digits.config.resolvers import register_resolvers
from digits.files import MAX_NAME_LENGTH, slug

from .conftest import ROOT

PORTABLE = re.compile(r"[A-Za-z0-9.,_+-]+")


def name_of(*overrides: str, job: int | None = None) -> str:
    register_resolvers()
    try:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            config = compose("config", [*overrides], return_hydra_config=True)
        with open_dict(config):
            config.hydra.mode = RunMode.RUN if job is None else RunMode.MULTIRUN
            config.hydra.job.num = job or 0
        HydraConfig.instance().set_config(config)
        return str(run_name() if job is None else job_name())
    finally:
        HydraConfig.instance().cfg = None


@pytest.mark.parametrize("text", ["a=b", "a/b", "a b", "../a", "ä", "[128, 64]", "a\nb", "-m", "."])
def test_a_name_holds_only_what_every_file_system_and_shell_takes(text: str) -> None:
    assert PORTABLE.fullmatch(slug(f"run_{text}"))
    assert not slug(text).startswith(("-", "."))


def test_a_long_name_is_cut_and_stays_different() -> None:
    first, second = (slug(200 * "x" + end) for end in "12")

    assert len(first) == len(second) == MAX_NAME_LENGTH
    assert first != second
    assert slug(first) == first


def test_a_name_that_is_right_stays_as_it_is() -> None:
    assert slug("2026-01-31_12-00-00_dropout-sgd") == "2026-01-31_12-00-00_dropout-sgd"


def test_a_single_run_is_named_after_its_time_and_choices() -> None:
    name = name_of("model=dropout", "optim=sgd", "norm=exact")

    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-\d{6}_dropout-sgd-exact", name)


def test_a_job_is_named_after_its_number_and_what_was_varied() -> None:
    assert name_of("model=dropout", "optim.lr=0.01", job=3) == "3_dropout_lr-0.01"
    assert name_of("model.hidden=[128,64]", job=0) == "0_hidden--128,64"
    assert name_of("model=dropout", "test=false", job=3) == "3_dropout"  # tested there later
    assert PORTABLE.fullmatch(name_of("+model.path=a/b c", job=0))
