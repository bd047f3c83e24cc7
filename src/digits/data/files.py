"""The four official MNIST files: their names, shapes, checksums and mirrors."""

from dataclasses import dataclass
from typing import Literal

Part = Literal["train", "test"]
"""One of MNIST's two official parts: 60,000 images to train on, 10,000 to test with."""


@dataclass(frozen=True)
class DataFile:
    """One IDX file as it is published (gzipped) and as it is read (unpacked).

    Attributes:
        name: Name of the unpacked file; the published one has `.gz` behind it.
        shape: Shape of the uint8 array inside: `(n, 28, 28)` for images, `(n,)` for labels.
        sha256: SHA-256 of the unpacked file, in hexadecimal.
        gz_sha256: SHA-256 of the published .gz file, in hexadecimal.
        gz_bytes: Size of the published .gz file in bytes.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str
    gz_sha256: str
    gz_bytes: int

    @property
    def gz_name(self) -> str:
        """Name of the published file."""
        return f"{self.name}.gz"

    @property
    def num_bytes(self) -> int:
        """Size of the unpacked file in bytes: magic number, dimensions and values."""
        num_values = 1
        for dimension in self.shape:
            num_values *= dimension
        return 4 + 4 * len(self.shape) + num_values


@dataclass(frozen=True)
class PartFiles:
    """The two files that make one part.

    Attributes:
        images: File of `(n, 28, 28)` images.
        labels: File of `(n,)` labels.
    """

    images: DataFile
    labels: DataFile


FILES: dict[Part, PartFiles] = {
    "train": PartFiles(
        images=DataFile(
            name="train-images-idx3-ubyte",
            shape=(60_000, 28, 28),
            sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            gz_sha256="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            gz_bytes=9_912_422,
        ),
        labels=DataFile(
            name="train-labels-idx1-ubyte",
            shape=(60_000,),
            sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            gz_sha256="3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            gz_bytes=28_881,
        ),
    ),
    "test": PartFiles(
        images=DataFile(
            name="t10k-images-idx3-ubyte",
            shape=(10_000, 28, 28),
            sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            gz_sha256="8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            gz_bytes=1_648_877,
        ),
        labels=DataFile(
            name="t10k-labels-idx1-ubyte",
            shape=(10_000,),
            sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            gz_sha256="f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            gz_bytes=4_542,
        ),
    ),
}
"""MNIST (LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/); the .gz files are the ones
whose MD5 sums torchvision checks."""

MNIST, SAMPLE = "mnist", "mnist-sample-5k"
"""The names of the two datasets, as they stand in every output."""

MIRRORS: tuple[str, ...] = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)
"""Where the .gz files are published, in the order in which they are asked (torchvision's first).
No mirror is trusted: the checksums above decide."""
