"""Downloading one file of MNIST: several mirrors, one download at a time, nothing half-written."""

import errno
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from digits.data.download import Limits, TryError, download
from digits.data.files import MIRRORS, DataFile
from digits.data.unpack import DamagedError, unpack
from digits.errors import DigitsError
from digits.files import write_atomically

REMEDIES = (
    "set HTTPS_PROXY if you are behind a proxy, "
    "or set data.dir=FOLDER (or DIGITS_DATA) to a folder that holds the four files, "
    "or use data=sample, which needs no network"
)

_log = logging.getLogger(__name__)

_LOCK_NAME = ".digits.lock"
_FAILURE_NAME = ".digits.failure"
_STAGING_NAME = ".digits.partial"


def fetch(
    file: DataFile,
    folder: Path,
    mirrors: Sequence[str] = MIRRORS,
    limits: Limits | None = None,
) -> tuple[str, ...]:
    """Download a .gz file into a folder and unpack it beside itself, both verified by SHA-256.

    Of several processes that fetch into the same folder at once, one downloads and the others
    wait; if it fails, it has failed for those who waited as well. A good file is left as it is,
    a damaged one is replaced.

    Args:
        file: The file to fetch.
        folder: Where `file.gz_name` and `file.name` are written; created if it does not exist.
        mirrors: https addresses of folders that hold the .gz files; asked in this order.
        limits: When to give up; None takes the usual ones.

    Returns:
        The mirrors to ask for the next file: the one that worked first, and without those that
        were too slow, so that their time-outs are not waited for again.

    Raises:
        DigitsError: If every mirror fails, the disk is full, or the folder cannot be written to.
    """
    limits = limits or Limits()
    with _telling_of_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        failure = folder / _FAILURE_NAME
        before = _read_failure(failure)
        with _locked(folder, limits):
            if _is_good(folder / file.name, file.sha256):
                return tuple(mirrors)
            told = _read_failure(failure)
            if told is not None and told != before:
                raise DigitsError(told[1])
            failure.unlink(missing_ok=True)
            staging = folder / _STAGING_NAME
            # A process that was killed may have left it.
            shutil.rmtree(staging, ignore_errors=True)
            try:
                return _fetch_locked(file, folder, staging, mirrors, limits)
            except DigitsError as error:
                with suppress(OSError):
                    failure.write_text(str(error))
                raise
            finally:
                shutil.rmtree(staging, ignore_errors=True)


def _fetch_locked(
    file: DataFile, folder: Path, staging: Path, mirrors: Sequence[str], limits: Limits
) -> tuple[str, ...]:
    packed = folder / file.gz_name
    if not _is_good(packed, file.gz_sha256):
        staged, mirrors = _from_any_mirror(file, staging, mirrors, limits)
        # pooch's file is its owner's only, but data folders are shared.
        staged.chmod(0o644)
        staged.replace(packed)
    try:
        content = unpack(packed.read_bytes(), file.num_bytes)
    except DamagedError as error:
        raise DigitsError(f"{packed} {error}; delete it and start again") from error
    staging.mkdir(exist_ok=True)
    write_atomically(staging / file.name, content.data)
    (staging / file.name).replace(folder / file.name)
    return tuple(mirrors)


def _from_any_mirror(
    file: DataFile, staging: Path, mirrors: Sequence[str], limits: Limits
) -> tuple[Path, tuple[str, ...]]:
    reasons = []
    slow = set()
    for mirror in mirrors:
        for attempt in range(1, limits.num_tries + 1):
            try:
                path = _from_mirror(file, staging, mirror, limits)
            except TryError as failed:
                _log.info("%s: %s %s", file.gz_name, mirror, failed)
                if failed.retry and attempt < limits.num_tries:
                    time.sleep(limits.pause_s)
                    continue
                reasons.append(f"{urlsplit(mirror).hostname}: {failed}")
                if failed.too_slow:
                    slow.add(mirror)
                break
            else:
                others = (m for m in mirrors if m != mirror and m not in slow)
                return path, (mirror, *others)
    tried = "; ".join(reasons) or "no mirror to ask"
    raise DigitsError(f"cannot download {file.gz_name} ({tried}): {REMEDIES}")


def _from_mirror(file: DataFile, staging: Path, mirror: str, limits: Limits) -> Path:
    import pooch  # type: ignore[import-untyped]

    # pooch would print a line of its own for every try.
    pooch.get_logger().setLevel(logging.WARNING)

    def save(url: str, path: str, _: object) -> None:
        content = download(url, file, limits)
        with open(path, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())

    try:
        return Path(
            pooch.retrieve(
                f"{mirror.rstrip('/')}/{file.gz_name}",
                known_hash=f"sha256:{file.gz_sha256}",
                fname=file.gz_name,
                path=staging,
                downloader=save,
            )
        )
    except ValueError as error:
        raise TryError("sends another file (SHA-256)", retry=True) from error


@contextmanager
def _locked(folder: Path, limits: Limits) -> Iterator[None]:
    import filelock

    path = folder / _LOCK_NAME
    try:
        with filelock.FileLock(path, timeout=limits.lock_s):
            yield
    except filelock.Timeout as error:
        raise DigitsError(
            f"another process has been downloading into {folder} for {limits.lock_s:g} s; "
            "wait for it, or end it"
        ) from error


@contextmanager
def _telling_of_disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
            raise DigitsError(
                f"disk full while writing to {folder}: MNIST needs 70 MB there; "
                "free some, or set data.dir=FOLDER to a folder on another disk"
            ) from error
        raise DigitsError(
            f"cannot write to {folder} ({error.strerror or error}); "
            "set data.dir=FOLDER to a folder that you can write to, or use data=sample"
        ) from error


def _is_good(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == sha256
    except OSError:
        return False


def _read_failure(path: Path) -> tuple[int, str] | None:
    """When the last process failed here and what it said, None if it did not."""
    try:
        return path.stat().st_mtime_ns, path.read_text()
    except OSError:
        return None
