"""Which data sets there are, and how their files are found, fetched, verified and read.

The files of a data set are an entry of `DATASETS`. They are looked for in the data folder, as
torchvision lays them out (`MNIST/raw/`) or lying flat, gzipped or not; what is missing is
downloaded. No copy is trusted, wherever it comes from: the checksums below decide. What lies in the
folder is never overwritten: of a damaged file a good copy goes to the user's cache folder, and a
well-formed file of another data set ends the run.
"""

import gzip
import hashlib
import logging
import math
import os
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
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

CONNECT_S, READ_S = 5.0, 10.0
"""Seconds to wait for a connection, and for the next bytes."""

DAMAGED = "damaged"
RELATIVES = ("FashionMNIST", "KMNIST")
"""Data sets in torchvision's catalogue whose files have the same names."""

_log = logging.getLogger(__name__)


class NotAsPublishedError(DigitsError):
    """A file at `path` that is not what its name says, for it is `state`."""

    def __init__(self, path: Path, state: str, message: str) -> None:
        super().__init__(f"{path} {message}")
        self.path, self.state = path, state


@dataclass(frozen=True)
class DataFile:
    """An IDX file `name` and its SHA-256; it is published gzipped, as `name.gz`."""

    name: str
    sha256: str
    gz_sha256: str


@dataclass(frozen=True)
class Dataset:
    """The files of a data set and where they are published.

    Attributes:
        catalogue: Name of torchvision's class, which knows mirrors; also that of the folder.
        files: The images and the labels of each part.
        mirrors: More of them, asked after torchvision's.
        beside: Names of other data sets' folders in which its files are looked for as well.
    """

    catalogue: str
    files: Mapping[Part, tuple[DataFile, ...]]
    mirrors: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[DataFile]:
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

WRITERS: dict[str, Dataset] = {
    # Yadav and Bottou, "Cold case: the lost MNIST digits", NeurIPS 2019
    MNIST: Dataset(
        catalogue="QMNIST",
        files={
            "train": (
                DataFile(
                    "qmnist-train-labels-idx2-int",
                    "bb1b6e1ec7b04fd5696f1ed50b5f58f8ef195118edd5c93c81783df9740b8ac5",
                    "2c05dc77f6b916b38e455e97ab129a42a444f3dbef09b278a366f82904e0dd9f",
                ),
            )
        },
        mirrors=("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",),
        beside=("MNIST",),
    )
}
"""Of each data set whose writers are known, the labels that say who wrote a training image."""


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images and the class of each, in memory.

    Attributes:
        images: uint8 `(n, 1, 28, 28)`; 0 is background, 255 is full ink.
        labels: int64 `(n,)`, 0 to 9.
    """

    images: "Tensor"
    labels: "Tensor"


@dataclass(frozen=True, eq=False)
class Writers:
    """Who wrote each training image.

    Attributes:
        writers: int32 `(n,)`, the number of the writer.
        series: int32 `(n,)`, the writer's NIST series: 0 (census employees) or 4 (pupils).
    """

    writers: np.ndarray
    series: np.ndarray


def default_folder() -> Path:
    """Return where the data is looked for unless said otherwise: `DIGITS_DATA`, else `data`."""
    return Path(os.environ.get("DIGITS_DATA", "data"))


def prepare(
    folder: str | Path,
    source: str = "auto",
    *,
    dir_option: str = "data.dir",
    source_option: str | None = None,
) -> str:
    """Make sure that all images and labels are there and good, before training starts.

    Args:
        folder: The data folder; it need not exist, and may be read-only if the files are there.
        source: `"auto"`: files that are there, else download, else the sample, with a warning.
            `"local"`: only files that are there. `"download"`: files that are there, else download.
            `"sample"`: only the sample.
        dir_option: What `folder` is called where the user types it.
        source_option: What `source` is called there; None if it cannot be typed.

    Returns:
        The name of the data set that `read` is to read: `"mnist"` or `"mnist-sample-5k"`.

    Raises:
        DigitsError: If the source is unknown or cannot give the data, or a file is another data
            set's. `"auto"` does not fall back to the sample where a file is damaged and no good
            copy is to be had: its owner means MNIST.
    """
    if source not in SOURCES:
        raise DigitsError(f"the source must be one of {', '.join(SOURCES)}, got {source!r}")
    if source == "sample":
        return SAMPLE
    folder, dataset = Path(os.path.expanduser(folder)), DATASETS[MNIST]
    remedies = f"try {dir_option}=FOLDER (or DIGITS_DATA=FOLDER), where the four files are"
    if source_option:
        remedies += f", or {source_option}=sample, which needs no download"
    missing = _missing(folder, dataset, source, remedies)
    if not missing:
        return MNIST
    problem = _lack(folder, missing)
    if source == "local":
        download = f", or {source_option}=download" if source_option else ""
        raise DigitsError(f"{problem}; {remedies}{download}")
    try:
        _fetch(folder, dataset, missing)
    except DigitsError as error:
        if source == "download":
            raise DigitsError(f"{problem}; {error}; {remedies}") from error
        _log.warning(
            "THIS IS NOT FULL MNIST: training and testing on a sample of 5,000 images "
            f"(dataset: {SAMPLE}), because {problem}; {error}"
        )
        return SAMPLE
    return MNIST


def _missing(folder: Path, dataset: Dataset, source: str, remedies: str) -> list[DataFile]:
    """Return the files that are not there; of damaged ones, bring good copies to the cache."""
    missing = []
    for file in dataset:
        try:
            if find(folder, dataset, file) is None:
                missing.append(file)
        except NotAsPublishedError as error:
            cache = cache_folder()
            if error.state != DAMAGED or source == "local" or cache is None:
                raise DigitsError(f"{error}; move it away, or {remedies}") from None
            try:
                _fetch(cache, dataset, [file])
            except DigitsError as failed:
                line = f"{error}; {failed}; move it away, or {remedies}"
                raise DigitsError(line) from failed
            _log.warning(f"{error}; it is left as it is, and a good copy is read from {cache}")
    return missing


def _lack(folder: Path, missing: Sequence[DataFile]) -> str:
    return f"{folder} lacks {', '.join(file.name for file in missing)} (.gz or unpacked)"


def prepare_writers(
    folder: str | Path,
    source: str,
    dataset: str,
    *,
    dir_option: str = "data.dir",
    split_option: str = "data.split",
) -> None:
    """Make sure that the file is there and good which says who wrote the training images.

    `dataset` is what `prepare` returned for the same folder and source.

    Raises:
        DigitsError: If the writers of the data set are not known, or the file cannot be had.
    """
    if dataset not in WRITERS:
        raise DigitsError(
            f"{split_option}=writers needs the writers of the images, which are not known for "
            f"{dataset}; try {split_option}=random"
        )
    folder, labels = Path(os.path.expanduser(folder)), WRITERS[dataset]
    remedies = f"try {dir_option}=FOLDER, where it is, or {split_option}=random"
    if not (missing := _missing(folder, labels, source, remedies)):
        return
    problem = f"{split_option}=writers: {_lack(folder, missing)}"
    if source == "local":
        raise DigitsError(f"{problem}; {remedies}")
    try:
        _fetch(folder, labels, missing)
    except DigitsError as error:
        raise DigitsError(f"{problem}; {error}; {remedies}") from error


def has_writers(folder: Path, dataset: str) -> bool:
    """Return whether the file that `prepare_writers` brings is there."""
    labels = WRITERS.get(dataset)
    with suppress(NotAsPublishedError):
        return labels is not None and all(find(folder, labels, file) for file in labels)
    return False


def read_writers(folder: str | Path, dataset: str, labels: "Tensor") -> Writers:
    """Read who wrote each training image, whose `labels` are compared; see `prepare_writers`.

    Raises:
        DigitsError: If the file is missing or damaged, or describes other images.
    """
    table = _read_file(folder, WRITERS[dataset], WRITERS[dataset].files["train"][0])
    # Of QMNIST's eight columns: class, NIST series, writer. The first ones are MNIST's own labels.
    if not np.array_equal(table[:, 0], labels.numpy()):
        raise DigitsError(f"the writers' file in {folder} has other labels than {dataset}")
    return Writers(writers=table[:, 2].astype(np.int32), series=table[:, 1].astype(np.int32))


def read(folder: str | Path, part: Part, dataset: str) -> LabelledImages:
    """Read one part into memory, verified by SHA-256; the caller may write to it.

    `dataset` is what `prepare` returned for the same folder.

    Raises:
        DigitsError: If a file is missing or damaged, or the data set is unknown.
    """
    if dataset == SAMPLE:
        return load_sample(part)
    if dataset not in DATASETS:
        raise DigitsError(f"dataset must be {' or '.join([*DATASETS, SAMPLE])}, got {dataset!r}")
    entry = DATASETS[dataset]
    images, labels = (_read_file(folder, entry, file) for file in entry.files[part])
    return _labelled(images, labels)


def _read_file(folder: str | Path, dataset: Dataset, file: DataFile) -> np.ndarray:
    folder = Path(os.path.expanduser(folder))
    try:
        found = find(folder, dataset, file)
    except NotAsPublishedError as error:
        cache = cache_folder() if error.state == DAMAGED else None
        found = find(cache, dataset, file) if cache else None
        if found is None:
            raise
    if found is None:
        raise DigitsError(f"{file.name} is not in {folder}; try digits data")
    path, content = found
    return parse_idx(_gunzip(content.tobytes()) if path.suffix == ".gz" else content)


def load_sample(part: Part) -> LabelledImages:
    """Read one part of the embedded sample: 4,000 training images or 1,000 test images.

    Both parts hold every class equally often, in mixed order. All 5,000 images come from MNIST's
    official *training* part (500 a class), so an accuracy on the sample's test part says nothing
    about MNIST's test part. Source, licence and selection are described in data/sample/.
    """
    folder = Path(__file__).with_name("sample")
    chosen = slice(4_000) if part == "train" else slice(4_000, None)
    images, labels = (
        parse_idx(_gunzip((folder / f"{name}.gz").read_bytes()))[chosen]
        for name in ("images-idx3-ubyte", "labels-idx1-ubyte")
    )
    return _labelled(images, labels)


def _labelled(images: np.ndarray, labels: np.ndarray) -> LabelledImages:
    import torch

    return LabelledImages(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels).long())


def parse_idx(content: np.ndarray) -> np.ndarray:
    """Read an IDX file of unsigned bytes or integers, whose checksum was right.

    Two zero bytes, the type (0x08: unsigned byte, 0x0C: big-endian int32), the number of
    dimensions, each dimension as a big-endian uint32, then the values in row-major order. Source:
    "The IDX file format", http://yann.lecun.com/exdb/mnist/. The result shares the memory of
    `content`, uint8 `(n,)`.
    """
    assert not content[:2].any()
    values_start, dtype = 4 + 4 * int(content[3]), {0x08: "u1", 0x0C: ">i4"}[int(content[2])]
    return content[values_start:].view(dtype).reshape(content[4:values_start].view(">u4"))


def find(folder: Path, dataset: Dataset, file: DataFile) -> tuple[Path, np.ndarray] | None:
    """Find the first good copy of a file, the quickest to read first.

    Returns:
        The copy and all its bytes as they are stored, uint8 `(n,)`; None if there is no copy.

    Raises:
        NotAsPublishedError: If a copy cannot be read or is another data set's, or all are damaged.
    """
    damaged = None
    for suffix, sha256 in (("", file.sha256), (".gz", file.gz_sha256)):
        places = [folder / each / "raw" for each in (dataset.catalogue, *dataset.beside)]
        for parent in (*places, folder):
            path = parent / f"{file.name}{suffix}"
            if not os.path.isfile(path):
                continue
            try:
                content = np.fromfile(path, np.uint8)
            except OSError as error:
                state = "cannot be read"
                raise NotAsPublishedError(path, state, f"{state} ({error.strerror})") from error
            if hashlib.sha256(content.data).hexdigest() == sha256:
                return path, content
            if (shape := _idx_shape(path, content)) is not None:
                what = _relative(path) or (
                    f"another data set's ({' x '.join(map(str, shape))} values), or damaged"
                )
                message = f"is {what}: its SHA-256 is not that of {dataset.catalogue}'s {file.name}"
                raise NotAsPublishedError(path, "another data set's", message)
            damaged = damaged or path
    if damaged:
        message = f"is damaged: its SHA-256 is not that of {dataset.catalogue}'s {damaged.name}"
        raise NotAsPublishedError(damaged, DAMAGED, message)
    return None


def _idx_shape(path: Path, content: np.ndarray) -> list[int] | None:
    """Return the dimensions of a well-formed IDX file of any type; `None`: it is not one."""
    try:
        content = _gunzip(content.tobytes()) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error):
        return None
    sizes = {0x08: 1, 0x09: 1, 0x0B: 2, 0x0C: 4, 0x0D: 4, 0x0E: 8}  # bytes of a value, by its type
    if len(content) < 4 or content[:2].any() or content[2] not in sizes:
        return None
    start = 4 + 4 * int(content[3])
    shape: list[int] = content[4:start].copy().view(">u4").tolist() if len(content) >= start else []
    is_whole = shape and len(content) == start + math.prod(shape) * sizes[int(content[2])]
    return shape if is_whole else None


def _relative(path: Path) -> str | None:
    """Say which of the relatives a file is of, by the checksum of its `.gz`."""
    import torchvision.datasets

    packed = path if path.suffix == ".gz" else path.with_name(f"{path.name}.gz")
    if packed.is_file():
        md5 = hashlib.md5(packed.read_bytes(), usedforsecurity=False).hexdigest()
        for name in RELATIVES:
            if dict(getattr(torchvision.datasets, name).resources).get(packed.name) == md5:
                return f"{name}'s"
    return None


def cache_folder() -> Path | None:
    """Return where good copies of damaged files go; `None` if the user has no home."""
    import pooch  # type: ignore[import-untyped]

    folder = Path(pooch.os_cache("digits"))
    return folder if folder.is_absolute() else None


def _gunzip(content: bytes) -> np.ndarray:
    # As bytes, they could not be written to.
    return np.frombuffer(bytearray(gzip.decompress(content)), np.uint8)


def _fetch(folder: Path, dataset: Dataset, files: Sequence[DataFile]) -> None:
    """Download files to the folder, and unpack them."""
    import filelock
    import torchvision.datasets  # takes as long as torch

    # What a class inherits is where MNIST's own files are.
    known = vars(getattr(torchvision.datasets, dataset.catalogue)).get("mirrors", ())
    mirrors = [each for each in (*known, *dataset.mirrors) if each.startswith("https://")]
    raw = folder / dataset.catalogue / "raw"
    try:
        raw.mkdir(parents=True, exist_ok=True)
        # Labels first: a mirror that does not work is found out on 5 kB.
        for file in sorted(files, key=lambda file: "images" in file.name):
            # Of several processes that ask at once, one downloads.
            with filelock.FileLock(raw / ".digits.lock"):
                if find(folder, dataset, file) is None:
                    packed = raw / f"{file.name}.gz"
                    _download(packed, file.gz_sha256, mirrors)
                    write_atomically(raw / file.name, _gunzip(packed.read_bytes()).data)
    except OSError as error:
        raise DigitsError(f"cannot write to {folder} ({error.strerror or error})") from error


def _download(target: Path, sha256: str, mirrors: list[str]) -> None:
    """Download a file from the first mirror that has it; those that fail move to the end."""
    import pooch
    from requests import RequestException

    reasons = []
    for mirror in tuple(mirrors):
        try:
            pooch.retrieve(
                f"{mirror}{target.name}",
                known_hash=f"sha256:{sha256}",
                fname=target.name,
                path=target.parent,
                downloader=pooch.HTTPDownloader(
                    progressbar=sys.stderr.isatty(),
                    timeout=(CONNECT_S, READ_S),
                    allow_redirects=False,  # they may lead to http
                    headers={"Accept-Encoding": "identity"},
                ),
            )
            target.chmod(0o644)  # pooch lets only the owner read, but data folders are shared
            return
        except (RequestException, ValueError) as error:
            if not isinstance(error, RequestException):
                reason = "it sends something else (SHA-256)"
            elif error.response is not None:
                reason = f"{error.response.status_code} {error.response.reason}"
            else:
                reason = type(error).__name__  # e.g. ConnectTimeout
            reasons.append(f"{urlsplit(mirror).hostname}: {reason}")
            mirrors.append(mirrors.pop(mirrors.index(mirror)))
    raise DigitsError(
        f"cannot download {target.name} ({'; '.join(reasons)}); "
        "set HTTPS_PROXY if you are behind a proxy"
    )
