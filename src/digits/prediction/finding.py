"""Which pictures the arguments IMAGE… mean."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from digits.errors import DigitsError

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
    # Not read, but a phone's folder is full of them: told, not passed over in silence.
    *(".heic", ".heif", ".avif"),
)
"""Endings of the files that are taken from a folder."""


def find(arguments: Sequence[str]) -> Iterator[tuple[str, DigitsError | None]]:
    """Yields the files that are meant, in the order of the arguments, each folder's files sorted.

    Args:
        arguments: files, folders, and patterns that the shell left as they are.

    Yields:
        A file and `None`, or an argument that means no file and what is wrong with it.
    """
    for argument in arguments:
        try:
            files = _files(argument)
        except DigitsError as error:
            yield argument, error
        else:
            yield from ((file, None) for file in files)


def _files(argument: str) -> list[str]:
    path = Path(argument)
    try:
        is_folder, exists = path.is_dir(), path.exists()
        if is_folder:
            return _pictures_in(path)
    except (OSError, ValueError) as error:  # too long a name, a folder that must not be read
        raise DigitsError(f"cannot be looked at: {error}") from error
    if exists:
        return [argument]
    if not glob.has_magic(argument):
        raise DigitsError("there is no such file; try a picture, a folder or a pattern as '*.png'")
    matches = [match for match in glob.glob(argument, recursive=True) if Path(match).is_file()]
    if not matches:
        raise DigitsError("no file matches this pattern")
    return sorted(matches)


def _pictures_in(folder: Path) -> list[str]:
    found = sorted(
        str(path)
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not found:
        raise DigitsError(f"no pictures in this folder (of {', '.join(SUFFIXES)})")
    return found
