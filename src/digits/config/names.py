"""Readable names for run directories; configurations ask for `${run_name:}` and `${job_name:}`."""

import os
from datetime import datetime

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from digits.files import slug

STARTED = "DIGITS_STARTED"
"""The environment variable by which the processes of a sweep's jobs know the sweep's time."""

_STARTED = os.environ.get(STARTED) or datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")


def share_start() -> None:
    """Makes processes that this one starts for the jobs of a sweep name it alike."""
    os.environ[STARTED] = _STARTED


def run_name() -> str:
    """Returns the time to the microsecond; for a single run, model, optimizer and norm as well."""
    hydra = HydraConfig.get()
    if hydra.mode is RunMode.MULTIRUN:
        return _STARTED
    choices = [hydra.runtime.choices.get(group) for group in ("model", "optim", "norm")]
    return slug(f"{_STARTED}_{'-'.join(choice for choice in choices if choice)}")


def job_name() -> str:
    """Returns a job's number and what was asked of it, e.g. `3_dropout_adam_lr-0.01_seed-2`."""
    hydra = HydraConfig.get()
    parts = []
    for override in hydra.overrides.task:
        key, _, value = override.lstrip("+").partition("=")
        if key in ("name", "test") or key.startswith("callbacks.pruning"):
            continue  # of the whole sweep, or of the search; a job is tested in the same directory
        group = key in hydra.runtime.choices
        parts.append(value if group else f"{key.rpartition('.')[2]}-{value}")
    return slug("_".join([str(hydra.job.num), *parts]))
