"""Finished runs of different networks, to make ensembles of."""

from pathlib import Path

import pytest
from support import SMALL, train

KINDS = {
    "half": (),
    "exact": ("model=dropout", "model.hidden=[20]", "norm=exact", "optim=sgd"),
    "unit": ("norm=unit", "seed=1"),
}
"""They differ in network, normalization and seed."""


@pytest.fixture(scope="session")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    for name, options in KINDS.items():
        train(folder / name, *SMALL, "trainer.max_epochs=2", *options)
    return [folder / name for name in KINDS]
