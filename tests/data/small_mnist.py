"""Small made-up data files under MNIST's names, with checksums of their own."""

import functools
import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from digits.data.published import DataFile, Dataset, Part

Values = npt.NDArray[np.uint8]


def idx_bytes(values: Values) -> bytes:
    """The IDX file of a uint8 array, written from the format's description."""
    dimensions = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return b"\0\0\x08" + bytes([values.ndim]) + dimensions + values.tobytes()


@dataclass
class SmallMnist:
    """A data set with MNIST's file names: 40 training and 20 test images."""

    dataset: Dataset
    unpacked: dict[str, bytes]
    packed: dict[str, bytes]

    def write(self, folder: Path, *, gzipped: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in (self.packed if gzipped else self.unpacked).items():
            (folder / name).write_bytes(content)

    @property
    def train_images(self) -> DataFile:
        return self.dataset.files["train"][0]


@functools.cache
def small_mnist() -> SmallMnist:
    random = np.random.RandomState(1)
    unpacked, packed = {}, {}

    def make(name: str, values: Values) -> DataFile:
        unpacked[name] = idx_bytes(values)
        packed[f"{name}.gz"] = gzip.compress(unpacked[name], mtime=0)
        return DataFile(
            name=name,
            sha256=hashlib.sha256(unpacked[name]).hexdigest(),
            gz_hash=hashlib.sha256(packed[f"{name}.gz"]).hexdigest(),
        )

    def part(prefix: str, size: int) -> tuple[DataFile, DataFile]:
        images = random.randint(0, 256, (size, 28, 28)).astype(np.uint8)
        labels = (np.arange(size) % 10).astype(np.uint8)
        return (
            make(f"{prefix}-images-idx3-ubyte", images),
            make(f"{prefix}-labels-idx1-ubyte", labels),
        )

    files: dict[Part, tuple[DataFile, DataFile]] = {
        "train": part("train", 40),
        "test": part("t10k", 20),
    }
    return SmallMnist(Dataset("MNIST", files), unpacked, packed)
