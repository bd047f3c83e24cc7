"""Trained models for the tests of exported files, and what only stands on their bytes."""

import os
import subprocess
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

import digits
from digits.artifact import TrainedClassifier, save_model
from digits.data.datamodule import MNISTDataModule
from digits.data.sample import load_sample
from digits.exporting.images import ImagesToCompare
from digits.models import Classifier

MEAN, STD = 0.1306604762738429, 0.3081078038564622
"""With all the digits that a float has."""

SAMPLE_TEST = ImagesToCompare(load_sample("test").images, "test images of mnist-sample-5k")


def trained(folder: Path, model: Classifier, num_steps: int = 100) -> Path:
    """A run directory whose model.pt holds the network after a short training on the sample."""
    torch.set_num_threads(1)
    data = load_sample("train")
    images = (data.images / 255 - MEAN) / STD
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.network.parameters(), lr=0.003)
    model.train()
    for _ in range(num_steps):
        rows = torch.randint(0, len(images), (64,), generator=generator)
        optimizer.zero_grad()
        loss = F.cross_entropy(model.network(images[rows]), data.labels[rows])
        torch.autograd.backward(loss)
        optimizer.step()
    return saved(folder, model)


def saved(folder: Path, model: Classifier) -> Path:
    """A run directory with a model.pt of the network as it is."""
    datamodule = MNISTDataModule(source="sample", mean=MEAN, std=STD)
    datamodule.prepare_data()
    folder.mkdir(parents=True, exist_ok=True)
    save_model(folder / "model.pt", model, datamodule)
    return folder


def loaded(folder: Path, model: Classifier) -> TrainedClassifier:
    """The network as `digits.load` gives it."""
    return digits.load(saved(folder, model))


def without_digits(code: str, *arguments: Path, cwd: Path) -> str:
    """Runs Python code in a process in which digits cannot be imported; returns what it prints."""
    first = "import sys; sys.modules['digits'] = None\n"
    return subprocess.run(
        [sys.executable, "-c", first + code, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
