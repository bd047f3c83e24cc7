"""Which data sets there are, and how their files are found, fetched, verified and read.

The files of a data set are an entry of `DATASETS`. They are looked for in the data folder, as
torchvision lays them out (`MNIST/raw/`) or lying flat, gzipped or not; what is missing is
downloaded. No copy is trusted, wherever it comes from: the checksums below decide. A file that is
not what its name says is left alone, and a good copy goes to the cache folder.
"""

import functools
import gzip
import hashlib
import logging
import math
import os
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import numpy as np

from digits.errors import DigitsError
from digits.files import write_atomically

# torch is imported where it is needed: commands read SOURCES for their --help.
if TYPE_CHECKING:
    from torch import Tensor

Part = Literal["train", "test"]
"""The two official parts of a data set; of MNIST, 60,000 images to train on and 10,000 to test."""

MNIST, SAMPLE = "mnist", "mnist-sample-5k"
"""Names of data sets, as they stand in every output."""

SOURCES = ("auto", "local", "download", "sample")

SIDE = 28
"""Height and width of an image in pixels."""
NUM_CLASSES = 10
CLASSES = tuple(map(str, range(NUM_CLASSES)))

CONNECT_S, READ_S, TRY_S = 5.0, 10.0, 300.0
"""Seconds to wait for a connection, for the next bytes, and for one try to end."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataFile:
    """An IDX file, published gzipped.

    Attributes:
        name: Name of the unpacked file; the published one has `.gz` behind it.
        sha256: SHA-256 of the unpacked file, in hexadecimal.
        gz_sha256: SHA-256 of the published file, in hexadecimal.
    """

    name: str
    sha256: str
    gz_sha256: str


@dataclass(frozen=True)
class Dataset:
    """The files of a data set and where they are published.

    Attributes:
        catalogue: Name of torchvision's class, which knows mirrors; also that of the folder.
        files: The images and the labels of each part.
        mirrors: https addresses to ask after those that torchvision knows.
    """

    catalogue: str
    files: Mapping[Part, tuple[DataFile, DataFile]]
    mirrors: tuple[str, ...] = ()

    @property
    def raw_folder(self) -> Path:
        """Where torchvision keeps the files inside a data folder."""
        return Path(self.catalogue, "raw")

    def __iter__(self) -> Iterator[DataFile]:
        """Iterate over all files."""
        for files in self.files.values():
            yield from files


DATASETS: dict[str, Dataset] = {
    # LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/
    MNIST: Dataset(
        catalogue="MNIST",
        files={
            "train": (
                DataFile(
                    "train-images-idx3-ubyte",
                    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                ),
                DataFile(
                    "train-labels-idx1-ubyte",
                    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                ),
            ),
            "test": (
                DataFile(
                    "t10k-images-idx3-ubyte",
                    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                ),
                DataFile(
                    "t10k-labels-idx1-ubyte",
                    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                ),
            ),
        },
        mirrors=(
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://raw.githubusercontent.com/fgnt/mnist/master/",
        ),
    )
}
"""All data sets but the sample."""


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images and the class of each, in memory.

    Attributes:
        images: uint8 `(n, 1, 28, 28)`; 0 is background, 255 is full ink.
        labels: int64 `(n,)`, 0 to 9.

    Raises:
        DigitsError: If a shape, a type, the two lengths or a label is not as above.
    """

    images: "Tensor"
    labels: "Tensor"

    def __post_init__(self) -> None:
        """Check what would otherwise surface as an index error in the middle of training."""
        import torch

        images, labels = self.images, self.labels
        if images.dtype != torch.uint8 or images.shape[1:] != (1, SIDE, SIDE):
            raise DigitsError(
                f"images must be uint8 of shape (n, 1, {SIDE}, {SIDE}), "
                f"got {images.dtype} of {tuple(images.shape)}"
            )
        if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
            raise DigitsError(
                f"labels must be int64 of shape ({len(images)},), as there are {len(images)} "
                f"images, got {labels.dtype} of {tuple(labels.shape)}"
            )
        if not ((labels >= 0) & (labels < NUM_CLASSES)).all():
            raise DigitsError(
                f"labels must be in [0, {NUM_CLASSES - 1}], "
                f"got {int(labels.min())} to {int(labels.max())}"
            )


def default_folder() -> Path:
    """Return where the data is looked for unless said otherwise: `DIGITS_DATA`, else `data`."""
    return Path(os.environ.get("DIGITS_DATA", "data"))


def cache_folder() -> Path | None:
    """Return where unpacked files are kept: `DIGITS_CACHE`, else the user's cache folder if any."""
    import platformdirs

    if chosen := os.environ.get("DIGITS_CACHE"):
        return Path(os.path.expanduser(chosen))
    folder = Path(platformdirs.user_cache_dir("digits"))
    return folder if folder.is_absolute() else None  # it starts with ~ for a user without a home


def prepare(
    folder: str | Path,
    source: str = "auto",
    *,
    dir_option: str = "data.dir",
    source_option: str = "data.source",
) -> str:
    """Make sure that all images and labels are there and good, before a training starts.

    Args:
        folder: The data folder; it need not exist, and may be read-only if the files are there.
        source: `"auto"`: files that are there, else download, else the sample, with a warning.
            `"local"`: only files that are there. `"download"`: files that are there, else download.
            `"sample"`: only the sample.
        dir_option: What `folder` is called where the user types it.
        source_option: What `source` is called there.

    Returns:
        The name of the data set that `read` is to read: `"mnist"` or `"mnist-sample-5k"`.

    Raises:
        DigitsError: If the source is unknown or cannot give the data. `"auto"` does not fall back
            to the sample where a file is there but damaged: its owner means MNIST.
    """
    if source not in SOURCES:
        known = ", ".join(SOURCES)
        raise DigitsError(f"{source_option} must be one of {known}, got {source!r}; try auto")
    if source == "sample":
        return SAMPLE
    folder, dataset = Path(folder).expanduser(), DATASETS[MNIST]
    found = {file: find(folder, dataset, file) for file in dataset}
    lacking = [file for file, copies in found.items() if copies.path is None]
    if lacking:
        damaged = "; ".join(message for file in lacking for message in found[file].damaged)
        names = ", ".join(file.name for file in lacking)
        problem = damaged or f"{folder} lacks {names} (.gz or unpacked)"
        remedies = (
            f"try {dir_option}=FOLDER (or DIGITS_DATA=FOLDER), where the four files are, "
            f"or {source_option}=sample, which needs no network"
        )
        if source == "local":
            raise DigitsError(f"{problem}; {remedies}, or {source_option}=download")
        try:
            _fetch(folder, dataset, {file: found[file] for file in lacking})
        except DigitsError as error:
            if damaged or source == "download":
                raise DigitsError(f"{problem}; {error}; {remedies}") from error
            _log.warning(
                "THIS IS NOT FULL MNIST: training and testing on a sample of 5,000 images "
                "(dataset: %s), because %s; %s",
                SAMPLE,
                problem,
                error,
            )
            return SAMPLE
        for file in lacking:
            found[file] = replace(find(folder, dataset, file), damaged=found[file].damaged)
    for copies in found.values():
        for message in copies.damaged:
            _warn_once(f"{message}; using {copies.path} in its place")
    return MNIST


def read(folder: str | Path, part: Part, dataset: str) -> LabelledImages:
    """Read one part into memory, verified by SHA-256.

    Args:
        folder: The data folder, as given to `prepare`; it is never written to.
        part: `"train"` or `"test"`.
        dataset: What `prepare` returned.

    Returns:
        Images and labels, in memory of their own.

    Raises:
        DigitsError: If a file is missing or damaged, or the data set is unknown.
    """
    if dataset == SAMPLE:
        return load_sample(part)
    if dataset not in DATASETS:
        raise DigitsError(f"dataset must be {' or '.join([*DATASETS, SAMPLE])}, got {dataset!r}")
    entry, folder = DATASETS[dataset], Path(folder).expanduser()
    arrays = []
    for file in entry.files[part]:
        copies = find(folder, entry, file)
        if copies.content is None:
            raise DigitsError(
                "; ".join(copies.damaged) or f"{file.name} is not in {folder}; try digits data"
            )
        arrays.append(parse_idx(copies.content))
    return _labelled(*arrays)


def load_sample(part: Part) -> LabelledImages:
    """Read one part of the embedded sample: 4,000 training images or 1,000 test images.

    Both parts hold every class equally often, in mixed order. All 5,000 images come from MNIST's
    official *training* part (500 a class), so an accuracy on the sample's test part says nothing
    about MNIST's test part. Source, licence and selection are described in data/sample/.
    """
    folder = Path(__file__).with_name("sample")
    chosen = slice(4_000) if part == "train" else slice(4_000, None)
    images, labels = (
        parse_idx(_gunzip(folder / f"{name}.gz"))[chosen]
        for name in ("images-idx3-ubyte", "labels-idx1-ubyte")
    )
    return _labelled(images, labels)


def _labelled(images: np.ndarray, labels: np.ndarray) -> LabelledImages:
    import torch

    return LabelledImages(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels).long())


def parse_idx(content: bytes | np.ndarray) -> np.ndarray:
    """Read an IDX file of unsigned bytes: labels (1 dimension) or images (3 dimensions).

    Two zero bytes, the type (0x08: unsigned byte), the number of dimensions, each dimension as a
    big-endian uint32, then the values in row-major order. Source: "The IDX file format",
    http://yann.lecun.com/exdb/mnist/.

    Returns:
        uint8 array of shape `(n,)` or `(n, rows, columns)`, which shares the memory of `content`.

    Raises:
        DigitsError: If `content` is not such a file, or is longer or shorter than its header says.
    """
    data = np.frombuffer(content, dtype=np.uint8)
    magic = data[:4].tobytes()
    if magic not in (b"\0\0\x08\1", b"\0\0\x08\3"):
        raise DigitsError(
            f"not an IDX file of labels or images: it starts with 0x{magic.hex()}, "
            "expected 0x00000801 (labels) or 0x00000803 (images)"
        )
    header_bytes = 4 + 4 * magic[3]
    places = range(4, header_bytes, 4)
    shape = tuple(int.from_bytes(data[place : place + 4].tobytes(), "big") for place in places)
    num_values = len(data) - header_bytes
    if not math.prod(shape) == num_values > 0:
        raise DigitsError(f"IDX file has {max(0, num_values):,} values, its header says {shape}")
    return data[header_bytes:].reshape(shape)


@dataclass(frozen=True, eq=False)
class Copies:
    """What `find` found of one file.

    Attributes:
        path: The first good copy, None if there is none.
        content: All its bytes, unpacked: uint8 `(n,)`.
        damaged: One message for each damaged copy that came before it.
    """

    path: Path | None
    content: np.ndarray | None
    damaged: list[str]


def find(folder: Path, dataset: Dataset, file: DataFile) -> Copies:
    """Read the first good copy of a file, the quickest to read first.

    Unpacking takes several times as long as reading, so what is unpacked is kept in the cache
    folder for the next time, where that is possible. The cache alone is not data: without any copy
    in the folder, the user has no MNIST there.

    Args:
        folder: The data folder; it need not exist and is never written to.
        dataset: The data set of the file.
        file: The file to find.
    """
    folders = (folder / dataset.raw_folder, folder)
    unpacked = [path for parent in folders if os.path.isfile(path := parent / file.name)]
    gzipped = [path for parent in folders if os.path.isfile(path := parent / f"{file.name}.gz")]
    cache = cache_folder()
    cached = cache / dataset.raw_folder / file.name if cache else None
    if cached and os.path.isfile(cached) and (unpacked or gzipped):
        unpacked.append(cached)
    damaged = []
    for path in unpacked + gzipped:
        try:
            content = _gunzip(path) if path.suffix == ".gz" else np.fromfile(path, np.uint8)
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            damaged.append(f"{path} is damaged: it cannot be read ({reason})")
            continue
        if hashlib.sha256(content.data).hexdigest() != file.sha256:
            damaged.append(
                f"{path} is damaged, or another data set's: its SHA-256 is not that of "
                f"{dataset.catalogue}'s {file.name}"
            )
            continue
        if cached and path.suffix == ".gz":
            with suppress(OSError):  # then it will be unpacked again
                cached.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(cached, content.data)
        return Copies(path, content, damaged)
    return Copies(None, None, damaged)


def _gunzip(path: Path) -> np.ndarray:
    # As bytes, they could not be written to.
    return np.frombuffer(bytearray(gzip.decompress(path.read_bytes())), np.uint8)


@functools.cache
def _warn_once(message: str) -> None:
    _log.warning(message)


def _fetch(folder: Path, dataset: Dataset, found: Mapping[DataFile, Copies]) -> None:
    """Download the files of `found` to the folder; where a damaged one is in the way, to the cache.

    Raises:
        DigitsError: If every mirror fails, or there is nowhere to write to.
    """
    import filelock
    import torchvision.datasets  # takes as long as torch

    known = getattr(torchvision.datasets, dataset.catalogue).mirrors
    mirrors = [each for each in (*known, *dataset.mirrors) if each.startswith("https://")]
    # Labels first: a mirror that does not work is found out on 5 kB.
    for file in sorted(found, key=lambda file: "images" in file.name):
        root = cache_folder() if found[file].damaged else folder
        if root is None:
            raise DigitsError("there is no cache folder for a good copy; try DIGITS_CACHE=FOLDER")
        target = root / dataset.raw_folder / f"{file.name}.gz"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            # Of several processes that ask at once, one downloads.
            with filelock.FileLock(target.with_name(".digits.lock")):
                if find(folder, dataset, file).path is None:
                    _download(target, file.gz_sha256, mirrors)
                    write_atomically(target.with_suffix(""), _gunzip(target).data)
        except OSError as error:
            raise DigitsError(f"cannot write to {root} ({error.strerror or error})") from error


def _download(target: Path, sha256: str, mirrors: list[str]) -> None:
    """Download a file from the first mirror that has it; those that fail move to the end."""
    import pooch  # type: ignore[import-untyped]
    from requests import RequestException

    reasons = []
    for mirror in tuple(mirrors):
        try:
            with _progress(target.name) as bar:
                pooch.retrieve(
                    f"{mirror}{target.name}",
                    known_hash=f"sha256:{sha256}",
                    fname=target.name,
                    path=target.parent,
                    downloader=pooch.HTTPDownloader(
                        progressbar=bar,
                        timeout=(CONNECT_S, READ_S),
                        allow_redirects=False,  # they may lead to http
                        headers={"Accept-Encoding": "identity"},
                    ),
                )
            target.chmod(0o644)  # pooch lets only the owner read, but data folders are shared
            return
        except (RequestException, ValueError) as error:
            reasons.append(f"{urlsplit(mirror).hostname}: {_reason(error)}")
            mirrors.append(mirrors.pop(mirrors.index(mirror)))
    raise DigitsError(
        f"cannot download {target.name} ({'; '.join(reasons)}); "
        "set HTTPS_PROXY if you are behind a proxy"
    )


def _progress(name: str) -> Any:
    """Make a bar for pooch, shown on a terminal only, that ends a try after `TRY_S`."""
    from requests import Timeout
    from tqdm import tqdm  # type: ignore[import-untyped]

    deadline = time.monotonic() + TRY_S

    class Bar(tqdm):  # type: ignore[misc]
        def __bool__(self) -> bool:
            return True  # pooch asks before it knows the size

        def update(self, n: float = 1) -> None:
            if time.monotonic() > deadline:
                raise Timeout
            super().update(n)

    return Bar(desc=name, unit="B", unit_scale=True, disable=None, leave=False)


def _reason(error: Exception) -> str:
    """Find the few words that matter in the nested errors of requests, urllib3 and the sockets."""
    from requests import HTTPError, RequestException, Timeout

    if isinstance(error, HTTPError) and error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    if not isinstance(error, RequestException):
        return "it sends something else (SHA-256)"
    if isinstance(error, Timeout):
        return "it is too slow"
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return getattr(cause, "strerror", None) or type(cause).__name__
