"""The files of a published data set: found, verified, fetched and read.

They are looked for in the data folder, as torchvision lays them out (`MNIST/raw/`) or, of MNIST,
lying flat, gzipped or not; what is missing is downloaded. No copy is trusted, wherever it comes
from: checksums decide. What lies in the folder is never overwritten: of a damaged file a good copy
goes to the user's cache folder, and a well-formed file of another data set ends the run.
"""

import gzip
import hashlib
import logging
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
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

GOOD, NOT_VERIFIED = "good", "not verified"
DAMAGED, OTHER = "damaged", "another data set's"
"""States of a file."""

_log = logging.getLogger(__name__)


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


@dataclass(frozen=True, eq=False)
class Found:
    """A file of a data set, as it lies in a folder.

    Attributes:
        content: All its bytes as they are stored, uint8 `(n,)`.
        state: "good" by its checksum; "not verified", if none is known; "damaged"; or "another data
            set's", if it is well-formed.
    """

    path: Path
    content: np.ndarray
    state: str

    def values(self) -> np.ndarray:
        """Return what the IDX file holds."""
        is_packed = self.path.suffix == ".gz"
        return parse_idx(gunzip(self.content.tobytes()) if is_packed else self.content)

    def problem(self, dataset: Dataset) -> str:
        """Say what is wrong with a file that is not `dataset`'s, and whose it is, if known."""
        import torchvision.datasets  # takes as long as torch

        known = self.path.name, hashlib.md5(self.content.data, usedforsecurity=False).hexdigest()
        what = DAMAGED if self.state == DAMAGED else f"{OTHER}, or damaged"
        for name in ("MNIST", "FashionMNIST", "KMNIST"):
            if known in getattr(torchvision.datasets, name).resources:
                what = f"{name}'s"
        expected = f"{dataset.catalogue}'s {self.path.name}"
        return f"{self.path} is {what}: its checksum is not that of {expected}"


class NotFetchedError(DigitsError):
    """Files that are not there, and cannot be downloaded."""


def bring(folder: Path, dataset: Dataset, source: str, remedies: str) -> None:
    """Download the files that are not there; of damaged ones, bring good copies to the cache."""
    missing = []
    for file in dataset:
        found = find(folder, dataset, file)
        if found is None:
            missing.append(file)
        elif found.state == NOT_VERIFIED:
            _log.warning(f"{found.path} is not verified: only the checksum of its .gz is known")
        elif found.state != GOOD:
            problem, remedy = found.problem(dataset), f"move it away, or {remedies}"
            cache = cache_folder()
            if found.state == OTHER or source == "local" or cache is None:
                raise DigitsError(f"{problem}; {remedy}")
            try:
                _fetch(cache, dataset, [file])
            except DigitsError as error:
                raise DigitsError(f"{problem}; {error}; {remedy}") from error
            _log.warning(f"{problem}; it is left as it is, and a good copy is read from {cache}")
    if not missing:
        return
    names = ", ".join(file.name for file in missing)
    problem = f"{folder} lacks {names} of {dataset.catalogue} (.gz or unpacked)"
    if source == "local":
        raise DigitsError(f"{problem}; {remedies}")
    try:
        _fetch(folder, dataset, missing)
    except DigitsError as error:
        raise NotFetchedError(f"{problem}; {error}; {remedies}") from error


def read_file(folder: Path, dataset: Dataset, file: DataFile) -> np.ndarray:
    """Read the values of a file, or of the good copy of a damaged one."""
    found = find(folder, dataset, file)
    if found and found.state == DAMAGED and (cache := cache_folder()):
        found = find(cache, dataset, file) or found
    if found is None or found.state in (DAMAGED, OTHER):
        problem = found.problem(dataset) if found else f"{file.name} is not in {folder}"
        raise DigitsError(f"{problem}; try digits data")
    return found.values()


def find(folder: Path, dataset: Dataset, file: DataFile) -> Found | None:
    """Find the first good copy of a file, the quickest to read first; else one that is not."""
    bad = None
    # Without a checksum, an unpacked file is looked at only if there is no packed one.
    hashes = sorted((("", file.sha256), (".gz", file.gz_hash)), key=lambda each: not each[1])
    for (suffix, known), place in product(hashes, (f"{dataset.catalogue}/raw", *dataset.beside)):
        path = folder / place / f"{file.name}{suffix}"
        if path.is_file():
            content = np.fromfile(path, np.uint8)
            if known and _hash(content, known) == known:
                return Found(path, content, GOOD)
            if known or bad is None:
                bad = Found(path, content, OTHER if known else NOT_VERIFIED)
    if bad:
        try:
            bad.values()
        except (OSError, EOFError, zlib.error, LookupError, ValueError):
            bad = replace(bad, state=DAMAGED)
    return bad


def _hash(content: np.ndarray, known: str) -> str:
    algorithm = "md5" if len(known) == 32 else "sha256"
    return hashlib.new(algorithm, content.data, usedforsecurity=False).hexdigest()


def parse_idx(content: np.ndarray) -> np.ndarray:
    """Read an IDX file of unsigned bytes or integers.

    Two zero bytes, the type (0x08: unsigned byte, 0x0C: big-endian int32), the number of
    dimensions, each dimension as a big-endian uint32, then the values in row-major order. Source:
    "The IDX file format", http://yann.lecun.com/exdb/mnist/. The result shares the memory of
    `content`, uint8 `(n,)`.

    Raises:
        ValueError, LookupError: It is not such a file.
    """
    values_start, dtype = 4 + 4 * int(content[3]), {0x08: "u1", 0x0C: ">i4"}[int(content[2])]
    return content[values_start:].view(dtype).reshape(content[4:values_start].view(">u4"))


def gunzip(content: bytes) -> np.ndarray:
    """Unpack, into memory that may be written to."""
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
                found = find(folder, dataset, file)
                if found is None or found.state != GOOD:
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
