"""What the tests of searches share."""

from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from digits.search.study import open_storage

SEARCH = ("-m", "hydra/sweeper=optuna")
TINY = (
    *("data=sample", "data.train_size=640", "trainer=cpu", "trainer.max_epochs=1"),
    *("model.hidden=[8]", "logger=none"),
)
"""A run of a quarter of a second."""


def trials_of(sweep: Path) -> list[FrozenTrial]:
    """Return the trials of a search."""
    with open_storage(sweep) as storage:
        return optuna.load_study(study_name=sweep.name, storage=storage).trials
