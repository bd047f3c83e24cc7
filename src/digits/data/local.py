"""Finding, verifying and unpacking the copies of a data file that are on this machine."""

import hashlib
import logging
import os
from pathlib import Path

import numpy as np

from digits.data.files import DataFile
from digits.data.unpack import DamagedError, unpack
from digits.errors import DigitsError
from digits.files import write_atomically

RAW_FOLDER = Path("MNIST", "raw")
"""Where torchvision keeps MNIST inside a data folder."""

_log = logging.getLogger(__name__)

_known_good: set[tuple[str, int, int, str]] = set()
"""(path, size, mtime_ns, checksum) of the copies that this process has verified."""

_warned: set[str] = set()


def find_good(folder: Path, file: DataFile) -> tuple[Path | None, list[str]]:
    """Find the copy of a file that `load` would read, without keeping its content.

    A copy that this process has verified already is not read again as long as its size and its
    time of change stay the same.

    Args:
        folder: The data folder; it need not exist and is never written to.
        file: The file to find.

    Returns:
        The first good copy, or None, and one message for each damaged copy that came before it.
    """
    damaged = []
    for path in _copies(folder, file):
        try:
            _verify(path, file)
        except DamagedError as error:
            damaged.append(str(error))
        else:
            return path, damaged
    return None, damaged


def load(folder: Path, file: DataFile) -> np.ndarray:
    """Read the first good copy of a file and verify it by SHA-256, every time.

    Unpacking takes about four times as long as reading, so what is unpacked is kept in the
    cache folder for the next time, where that is possible.

    Args:
        folder: The data folder; it need not exist and is never written to.
        file: The file to read.

    Returns:
        The whole unpacked IDX file: one-dimensional uint8 array, which the caller may write to.

    Raises:
        DigitsError: If there is no good copy; the message names the damaged ones.
    """
    damaged = []
    for path in _copies(folder, file):
        try:
            content = _read(path, file)
        except DamagedError as error:
            damaged.append(str(error))
            continue
        warn_of_damage(damaged, path)
        if _is_gzipped(path):
            _keep(content, cache_folder() / RAW_FOLDER / file.name)
        return content
    if damaged:
        raise DigitsError(f"{'; '.join(damaged)}; delete it, or try data.source=download")
    raise DigitsError(f"{file.name} is not in {folder}; try data.source=auto or data=sample")


def warn_of_damage(damaged: list[str], used: Path) -> None:
    """Log one warning for each damaged copy, once in a process.

    Args:
        damaged: What `find_good` says of the damaged copies.
        used: The good copy that is used in their place.
    """
    for message in damaged:
        if message not in _warned:
            _log.warning("%s; using %s in its place", message, used)
            _warned.add(message)


def cache_folder() -> Path:
    """Where unpacked files are kept: `DIGITS_CACHE`, else the user's cache folder for digits."""
    if folder := os.environ.get("DIGITS_CACHE"):
        return Path(folder).expanduser()
    import platformdirs

    # The same folder as pooch.os_cache("digits"), without the import of pooch (0.2 s).
    return Path(platformdirs.user_cache_dir("digits"))


def _copies(folder: Path, file: DataFile) -> list[Path]:
    """Copies that exist, the quickest to read first."""
    # os.path.isfile, because Path.is_file raises where a folder may not be searched.
    folders = (folder / RAW_FOLDER, folder)
    gzipped = [path for parent in folders if os.path.isfile(path := parent / file.gz_name)]
    unpacked = [path for parent in folders if os.path.isfile(path := parent / file.name)]
    # What the cache holds came from a .gz: without one, the user has no MNIST in this folder.
    if gzipped and os.path.isfile(cached := cache_folder() / RAW_FOLDER / file.name):
        unpacked.append(cached)
    return unpacked + gzipped


def _is_gzipped(path: Path) -> bool:
    return path.suffix == ".gz"


def _verify(path: Path, file: DataFile) -> None:
    try:
        status = path.stat()
        key = (os.path.abspath(path), status.st_size, status.st_mtime_ns, file.sha256)
        if key in _known_good:
            return
        published = file.gz_sha256 if _is_gzipped(path) else file.sha256
        with path.open("rb") as stream:
            matches = hashlib.file_digest(stream, "sha256").hexdigest() == published
    except OSError as error:
        raise DamagedError(f"{path} cannot be read ({error.strerror or error})") from error
    if not matches:
        # Gives the reason; and a .gz that the user has packed again may be good all the same.
        _read(path, file)
    _known_good.add(key)


def _read(path: Path, file: DataFile) -> np.ndarray:
    try:
        if _is_gzipped(path):
            content = unpack(path.read_bytes(), file.num_bytes)
        elif (size := path.stat().st_size) != file.num_bytes:
            raise DamagedError(f"has {size:,} bytes, expected {file.num_bytes:,}")
        else:
            content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise DamagedError(f"{path} cannot be read ({error.strerror or error})") from error
    except DamagedError as error:
        raise DamagedError(f"{path} is damaged: it {error}") from error
    if hashlib.sha256(content.data).hexdigest() != file.sha256:
        raise DamagedError(f"{path} is damaged: its SHA-256 is not that of MNIST's {file.name}")
    return content


def _keep(content: np.ndarray, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.data)
    except OSError as error:
        _log.debug("%s is not kept, so it will be unpacked again: %s", path, error)
