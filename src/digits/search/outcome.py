"""What has come of a trial, read from its run directory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus

from digits.config.errors import explain
from digits.text import first_line
from digits.runs import finished_metrics
from digits.search.trial import Pruned


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Args:
        run_dir: its run directory.
        values: of the objectives; `None` if it was pruned or failed.
        pruned: whether it was ended early.
        reason: of its early end, in one line.
    """

    run_dir: Path
    values: tuple[float, ...] | None = None
    pruned: bool = False
    reason: str = ""

    @property
    def failed(self) -> bool:
        """Whether it has neither come to its end nor been pruned."""
        return self.values is None and not self.pruned


def read_outcome(job: JobReturn, objectives: Sequence[str]) -> Outcome:
    """Reads how a job of the launcher ended.

    Args:
        job: what the launcher returned.
        objectives: keys of metrics.json.
    """
    assert job.hydra_cfg is not None
    run_dir = Path(job.hydra_cfg.hydra.runtime.output_dir)
    if job.status is not JobStatus.COMPLETED:
        error = job._return_value  # `return_value` would print and raise
        if isinstance(error, Pruned):
            return Outcome(run_dir, pruned=True, reason=str(error))
        return Outcome(run_dir, reason=explain(error) or f"{type(error).__name__}: {_line(error)}")
    metrics = finished_metrics(run_dir) or {}
    values = tuple(metrics.get(objective) for objective in objectives)
    measured = tuple(float(value) for value in values if value is not None)
    if len(measured) < len(values) or any(math.isnan(value) for value in measured):
        return Outcome(run_dir, reason=f"metrics.json has no number for {', '.join(objectives)}")
    return Outcome(run_dir, measured)


def _line(error: BaseException) -> str:
    return first_line(error) or "no reason given"
