"""Readable names for run directories; configurations ask for `${run_name:}` and `${job_name:}`."""

import hashlib
import os
import re
from datetime import datetime

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

MAX_LENGTH = 100
"""File systems allow 255 bytes; TensorBoard and `ls` are readable up to about this many."""

STARTED = "DIGITS_STARTED"
"""The environment variable by which the processes of a sweep's jobs know the sweep's time."""

_STARTED = os.environ.get(STARTED) or datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")


def share_start() -> None:
    """Makes processes that this one starts for the jobs of a sweep name it alike."""
    os.environ[STARTED] = _STARTED


def slug(text: str) -> str:
    """Makes a file name of `text`: letters, digits and `.,_+-` stay, the rest becomes `-`.

    What is too long is cut, and ends with a part of the whole text's SHA-256, so that two long
    names stay different.
    """
    name = re.sub(r"[^A-Za-z0-9.,_+-]+", "-", text).strip("-.")
    if len(name) > MAX_LENGTH:
        name = f"{name[: MAX_LENGTH - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name


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
        if key == "name":  # of the whole sweep
            continue
        group = key in hydra.runtime.choices
        parts.append(value if group else f"{key.rpartition('.')[2]}-{value}")
    return slug("_".join([str(hydra.job.num), *parts]))
