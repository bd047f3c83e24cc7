"""Write the embedded sample from the official MNIST files: python make.py FOLDER.

The first 500 training images of each digit, shuffled; 4,000 to train on, then 1,000 to test with.
"""

import gzip
import sys
from pathlib import Path

import numpy as np

from digits.data.datasets import MNIST, NUM_CLASSES, read
from digits.data.split import stratified_split


def main(folder: Path) -> None:
    """Write both files beside this script."""
    mnist = read(folder, "train", MNIST)
    first = np.concatenate(
        [np.flatnonzero(mnist.labels == digit)[:500] for digit in range(NUM_CLASSES)]
    )
    shuffled = first[np.random.RandomState(0).permutation(len(first))]
    parts = stratified_split(mnist.labels[shuffled], 1_000, seed=0)
    indices = np.concatenate([shuffled[part] for part in parts])
    for name, tensor in (
        ("images-idx3-ubyte", mnist.images[indices, 0]),
        ("labels-idx1-ubyte", mnist.labels[indices].byte()),
    ):
        header = bytes([0, 0, 8, tensor.ndim]) + np.array(tensor.shape, ">u4").tobytes()
        content = gzip.compress(header + tensor.numpy().tobytes(), mtime=0)
        Path(__file__).with_name(f"{name}.gz").write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
