"""Whether a run is a trial of a search, and of which.

A trial may run in another process or on another machine than the search, wherever the launcher
starts it. All that it needs to know is in Hydra's configuration, which the launcher hands on: the
sweep directory with the study, and the job's number, which is the trial's number in the study.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from digits.search.options import SearchOptions, read_options
from digits.search.plan import is_search


class Pruned(Exception):  # noqa: N818 - nothing is wrong
    """A trial has been ended early, because others did better by then."""


@dataclass(frozen=True)
class TrialPlace:
    """Where a trial stands.

    Args:
        sweep_dir: the search's directory, which holds the study.
        number: of the trial in the study, from 0.
        options: the search's.
    """

    sweep_dir: Path
    number: int
    options: SearchOptions


def current_trial() -> TrialPlace | None:
    """Returns the trial that this run is, or `None` for a run that no search started."""
    hydra = HydraConfig.get()
    if hydra.mode is not RunMode.MULTIRUN or not is_search(hydra):
        return None
    sweeper: Any = OmegaConf.to_container(hydra.sweeper, resolve=True)
    sweep_dir = Path(hydra.runtime.cwd, hydra.sweep.dir)
    return TrialPlace(sweep_dir, hydra.job.num, read_options(sweeper))
