"""Fixtures of the tests of exported files."""

import os
from pathlib import Path

import pytest

import digits
from digits.artifact import TrainedClassifier
from digits.models import BaselineClassifier, DropoutClassifier
from exporting.exported_models import trained


@pytest.fixture(scope="session")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> TrainedClassifier:
    folder = tmp_path_factory.mktemp("baseline")
    return digits.load(trained(folder, BaselineClassifier([32, 16])))


@pytest.fixture(scope="session")
def dropout(tmp_path_factory: pytest.TempPathFactory) -> TrainedClassifier:
    folder = tmp_path_factory.mktemp("dropout")
    return digits.load(trained(folder, DropoutClassifier([48, 24], 0.3)))


@pytest.fixture(params=["baseline", "dropout"])
def model(request: pytest.FixtureRequest) -> TrainedClassifier:
    found: TrainedClassifier = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    folder = os.environ.get("DIGITS_DATA")
    if not folder:
        pytest.skip("the environment variable DIGITS_DATA names no folder with the MNIST files")
    return Path(folder)
