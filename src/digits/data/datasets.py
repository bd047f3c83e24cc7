"""The data sets: which there are, where they are, and how they are read."""

import os
from pathlib import Path

from digits.data.images import LabelledImages
from digits.data import mnist
from digits.data.mnist import MNIST, SAMPLE, SOURCES, read
from digits.data.sample import load_sample

__all__ = [
    "MNIST",
    "SAMPLE",
    "SOURCES",
    "LabelledImages",
    "default_folder",
    "load_sample",
    "prepare",
    "read",
]

SIDE = 28


def default_folder() -> Path:
    """Return the data folder that is used unless one is named: $DIGITS_DATA, else `data`."""
    return Path(os.environ.get("DIGITS_DATA", "data"))


def prepare(folder: Path, source: str, *, dir_option: str = "data.dir") -> str:
    """Make sure that all files are there."""
    return mnist.prepare(folder, source)
