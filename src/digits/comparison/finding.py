"""Run directories, found in the folders that somebody names."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from digits.errors import DigitsError

MAX_DEPTH = 4
"""Folders below a named one: outputs/sweeps/SWEEP/RUN is three below outputs."""


def find_run_dirs(folders: Sequence[Path]) -> list[Path]:
    """Returns the run directories that are among the folders or below them, each once.

    They come in the order of the folders; within one by name, where 2_sgd comes before 10_adam.

    Raises:
        DigitsError: a folder does not exist or cannot be read, or there is no run in it.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise DigitsError(f"{folder} is no folder; try a run or sweep directory, as outputs")
        try:
            below = list(_search(folder, MAX_DEPTH))
        except OSError as error:
            raise DigitsError(f"{error.filename} cannot be read: {error.strerror}") from None
        if not below:
            raise DigitsError(f"there is no run in {folder}; try a run or sweep directory")
        for path in below:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def is_run_dir(folder: Path) -> bool:
    """Says whether a folder holds a run, finished or not."""
    return any((folder / file).exists() for file in ("metrics.json", ".hydra/config.yaml"))


def _search(folder: Path, depth: int) -> Iterator[Path]:
    if is_run_dir(folder):
        yield folder
    elif depth:
        folders = [each for each in folder.iterdir() if each.is_dir() and each.name[0] != "."]
        for each in sorted(folders, key=_by_name):
            yield from _search(each, depth - 1)


def _by_name(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
