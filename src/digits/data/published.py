"""The files of a published data set: found, verified, fetched and read.

They are looked for in the data folder, as torchvision lays them out (`MNIST/raw/`) or, of MNIST,
lying flat, gzipped or not; what is missing is downloaded. No copy is trusted, wherever it comes
from: checksums decide. What lies in the folder is never overwritten: of a damaged file a good copy
goes to the user's cache folder, and a well-formed file of another data set ends the run.
"""

import gzip
import hashlib
import logging
import math
import os
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import numpy as np

from digits.errors import DigitsError
from digits.files import cache_folder, write_atomically

Part = Literal["train", "test"]
"""The two official parts of a data set; of MNIST, 60,000 images to train on and 10,000 to test."""

CONNECT_S, READ_S = 5.0, 10.0
"""Seconds to wait for a connection, and for the next bytes."""

DAMAGED = "damaged"

_log = logging.getLogger(__name__)


class NotAsPublishedError(DigitsError):
    """A file at `path` that is not what its name says, for it is `state`."""

    def __init__(self, path: Path, state: str, message: str) -> None:
        super().__init__(f"{path} {message}")
        self.path, self.state = path, state


@dataclass(frozen=True)
class DataFile:
    """An IDX file `name` and its SHA-256, if known; it is published gzipped, as `name.gz`."""

    name: str
    sha256: str | None
    gz_hash: str  # SHA-256 or MD5


@dataclass(frozen=True)
class Dataset:
    """The files of a data set and where they are published.

    Attributes:
        catalogue: Name of torchvision's class, which knows mirrors; also that of the folder.
        files: The images and the labels of each part.
        mirrors: More of them, asked after torchvision's.
        beside: Names of other folders in which its files are looked for as well.
    """

    catalogue: str
    files: Mapping[Part, tuple[DataFile, ...]]
    mirrors: tuple[str, ...] = ()
    beside: tuple[str, ...] = ("",)

    def __iter__(self) -> Iterator[DataFile]:
        for files in self.files.values():
            yield from files


class NotFetchedError(DigitsError):
    """Files that are not there, and cannot be downloaded."""


def bring(
    folder: Path, dataset: Dataset, source: str, remedies: str, why: str = "", download: str = ""
) -> None:
    """Download the files that are not there; of damaged ones, bring good copies to the cache."""
    missing = []
    for file in dataset:
        try:
            if (found := find(folder, dataset, file)) is None:
                missing.append(file)
            elif not is_verified(found[0], file):
                _log.warning(f"{found[0]} is not verified: only the checksum of its .gz is known")
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
    if not missing:
        return
    names = ", ".join(file.name for file in missing)
    problem = f"{why}{folder} lacks {names} of {dataset.catalogue} (.gz or unpacked)"
    if source == "local":
        raise DigitsError(f"{problem}; {remedies}{download}")
    try:
        _fetch(folder, dataset, missing)
    except DigitsError as error:
        raise NotFetchedError(f"{problem}; {error}; {remedies}") from error


def read_file(folder: str | Path, dataset: Dataset, file: DataFile) -> np.ndarray:
    """Read the values of a file, or of the good copy of a damaged one."""
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
    return parse_idx(gunzip(content.tobytes()) if path.suffix == ".gz" else content)


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
    damaged, told = None, f"its checksum is not that of {dataset.catalogue}'s"
    places = [f"{dataset.catalogue}/raw", *dataset.beside]
    # Without a checksum, an unpacked file is looked at only if there is no packed one.
    hashes = ("", file.sha256), (".gz", file.gz_hash)
    for suffix, known in sorted(hashes, key=lambda each: not each[1]):
        for parent in places:
            path = folder / parent / f"{file.name}{suffix}"
            if not os.path.isfile(path):
                continue
            try:
                content = np.fromfile(path, np.uint8)
            except OSError as error:
                state = "cannot be read"
                raise NotAsPublishedError(path, state, f"{state} ({error.strerror})") from error
            shape = None
            if known and _hash(content, known) == known:
                return path, content
            if (shape := _idx_shape(path, content)) is not None:
                if not known and content[2] == 0x08:
                    return path, content
                what = _relative(path) or (
                    f"another data set's ({' x '.join(map(str, shape))} values), or damaged"
                )
                message = f"is {what}: {told} {file.name}"
                raise NotAsPublishedError(path, "another data set's", message)
            damaged = damaged or path
    if damaged:
        message = f"is damaged: {told} {damaged.name}"
        raise NotAsPublishedError(damaged, DAMAGED, message)
    return None


def is_verified(path: Path, file: DataFile) -> bool:
    """Say whether a checksum is known of what `find` has found, and so was right."""
    return path.suffix == ".gz" or file.sha256 is not None


def _hash(content: np.ndarray, known: str) -> str:
    algorithm = "md5" if len(known) == 32 else "sha256"
    return hashlib.new(algorithm, content.data, usedforsecurity=False).hexdigest()


def _idx_shape(path: Path, content: np.ndarray) -> list[int] | None:
    """Return the dimensions of a well-formed IDX file of any type; `None`: it is not one."""
    try:
        content = gunzip(content.tobytes()) if path.suffix == ".gz" else content
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
    """Say which of MNIST's relatives a file is of, by the checksum of its `.gz`."""
    import torchvision.datasets  # takes as long as torch

    packed = path if path.suffix == ".gz" else path.with_name(f"{path.name}.gz")
    if packed.is_file():
        md5 = hashlib.md5(packed.read_bytes(), usedforsecurity=False).hexdigest()
        for name in ("MNIST", "FashionMNIST", "KMNIST"):
            if dict(getattr(torchvision.datasets, name).resources).get(packed.name) == md5:
                return f"{name}'s"
    return None


def gunzip(content: bytes) -> np.ndarray:
    """Unpack, into memory that may be written to."""
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
                    _download(packed, file.gz_hash, mirrors)
                    write_atomically(raw / file.name, gunzip(packed.read_bytes()).data)
    except OSError as error:
        raise DigitsError(f"cannot write to {folder} ({error.strerror or error})") from error


def _download(target: Path, known: str, mirrors: list[str]) -> None:
    """Download a file from the first mirror that has it; those that fail move to the end."""
    import pooch  # type: ignore[import-untyped]
    from requests import RequestException

    reasons = []
    for mirror in tuple(mirrors):
        try:
            pooch.retrieve(
                f"{mirror}{target.name}",
                known_hash=f"{'md5' if len(known) == 32 else 'sha256'}:{known}",
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
                reason = "it sends something else (by its checksum)"
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
