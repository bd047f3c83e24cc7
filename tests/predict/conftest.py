"""A network that knows digits, trained as quickly as will do."""

import os
from pathlib import Path

import pytest
from photographs import Trained
from support import train

import digits
from digits.data.datasets import MNIST, load_sample, read


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trained on MNIST if DIGITS_DATA says where it is, else on the sample, which is too little.

    95 % is what is promised of a network that was trained on MNIST; 4,000 images give one of 95 %
    on clean test images already, hence 85 %.
    """
    run_dir = tmp_path_factory.mktemp("run")
    options = ("model=dropout", "trainer=cpu", "logger=none")
    folder = os.environ.get("DIGITS_DATA")
    if folder:
        train(run_dir, *options, "data=mnist", f"data.dir={folder}", "trainer.max_epochs=2")
        return Trained(digits.load(run_dir), read(Path(folder), "test", MNIST), 0.95)
    train(run_dir, *options, "data=sample", "trainer.max_epochs=15")
    return Trained(digits.load(run_dir), load_sample("test"), 0.85)
