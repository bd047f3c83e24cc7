"""The package from outside: its version, and a network of your own."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import digits
from digits.data.datasets import load_sample

REPO = Path(__file__).parents[1]

MY_NETWORK = '''\
"""A network of my own."""

from torch import nn

from digits.models import Classifier


class WideClassifier(Classifier):
    def __init__(self, width: int = 10, **training):
        super().__init__(**training)
        self.network = nn.Sequential(
            nn.Flatten(), nn.Linear(784, width), nn.GELU(), nn.Linear(width, 10)
        )
'''

WIDE_YAML = """\
# One wide layer.
_target_: my_network.WideClassifier
width: 40
"""


def test_the_version_is_that_of_the_package() -> None:
    assert digits.__version__ == importlib.metadata.version("digits")
    assert {"DigitsError", "load"} <= set(digits.__all__)


def test_a_network_of_your_own_is_trained_from_outside_and_loaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_network.py").write_text(MY_NETWORK)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "wide.yaml").write_text(WIDE_YAML)
    paths = os.pathsep.join([str(tmp_path), str(REPO / "src")])
    options = ["model=wide", "data=sample", "trainer=cpu", "trainer.max_epochs=1", "name=mine"]
    finished = subprocess.run(
        [sys.executable, str(REPO / "train.py"), "--config-dir", str(tmp_path / "conf"), *options],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    assert "model=wide" in finished.stdout

    run_dir = tmp_path / "outputs" / "runs" / "mine"
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        loaded = digits.load(run_dir)
    finally:
        sys.modules.pop("my_network", None)
    assert loaded.record["model"] == "my_network.WideClassifier"
    assert loaded.record["arguments"] == {"width": 40}
    test = load_sample("test")
    num_correct = int((loaded(test.images).argmax(1) == test.labels).sum())
    metrics = json.loads((run_dir / "metrics.json").read_text())
    assert metrics["test/accuracy"] == num_correct / 1000
    assert metrics["num_parameters"] == 784 * 40 + 40 + 40 * 10 + 10
