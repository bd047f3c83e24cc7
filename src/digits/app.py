"""Stub: names that the final module has."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from digits.config.check import check_job
from digits.config.errors import one_line_errors
from digits.heavy import import_lightning

__all__ = ["one_line_errors", "run_job"]


def run_job(config: DictConfig) -> float:
    """Run a job of Hydra's; return its validation accuracy."""
    import_lightning()
    from digits.training.run import run

    check_job(config)
    hydra = HydraConfig.get()
    quiet = hydra.mode is RunMode.MULTIRUN
    return float(run(config, Path(hydra.runtime.output_dir), quiet=quiet)["val/accuracy"])
