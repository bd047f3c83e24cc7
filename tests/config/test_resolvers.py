"""Names of run directories, and how many jobs run at once."""

import os
import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.types import RunMode
from omegaconf import open_dict

from digits.config import resolvers
from digits.config.resolvers import jobs_at_once, num_gpus, register_resolvers

CONF = Path(__file__).parents[2] / "conf"


def name_of(*overrides: str, job: int | None = None) -> str:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", [*overrides], return_hydra_config=True)
    with open_dict(config):
        config.hydra.mode = RunMode.RUN if job is None else RunMode.MULTIRUN
        config.hydra.job.num = job or 0
    return str(config.name if job is None else config.hydra.sweep.subdir)


def test_a_single_run_is_named_after_its_time_and_choices() -> None:
    name = name_of("model=dropout", "optim=sgd", "norm=exact")

    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-\d{6}_dropout-sgd-exact", name)


def test_debug_goes_before_an_experiment_and_the_command_line_before_both() -> None:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        fast = compose("config", ["debug=fast", "experiment=improved"])
        overfit = compose("config", ["debug=overfit", "experiment=improved"])
        mine = compose("config", ["debug=fast", "experiment=improved", "trainer.max_epochs=2"])
    assert (fast.trainer.max_epochs, fast.model.dropout_rate) == (1, 0.4)
    assert overfit.schedule._target_.endswith(".constant") and overfit.data.train_size == 256
    assert mine.trainer.max_epochs == 2


def test_a_job_is_named_after_its_number_and_what_was_varied() -> None:
    assert name_of("model=dropout", "optim.lr=0.01", job=3) == "3_dropout_lr-0.01"
    assert name_of("model.hidden=[128,64]", job=0) == "0_hidden--128,64"
    assert name_of("model=dropout", "test=false", job=3) == "3_dropout"  # tested there later
    assert name_of("seed=1", "+callbacks.pruning.trial=7", job=7) == "7_seed-1"
    assert re.fullmatch(r"[A-Za-z0-9.,_+-]+", name_of("+model.path=a/b c", job=0))


def test_without_a_gpu_there_is_a_job_for_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(resolvers, "num_cores", lambda: 1)
    assert jobs_at_once() == 1
    monkeypatch.delattr(os, "sysconf", raising=False)  # as on Windows
    monkeypatch.setattr(resolvers, "num_cores", lambda: 64)
    assert jobs_at_once() == 64


@pytest.mark.parametrize(("visible", "expected"), [("0,1", 2), ("", 0), ("-1", 0), ("GPU-7", 1)])
def test_gpus_are_counted_without_torch(
    visible: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert num_gpus() == expected
