"""Files of what the network saw."""

import io
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits.errors import DigitsError
from digits.files import write_atomically

_LONGEST_STEM = 80


class Shown:
    """A folder of 28 x 28 PNG files, named after the pictures that they were made of.

    Two pictures of the same name get two files, and no picture is overwritten.

    Args:
        folder: made if it is not there.
        pictures: files that must stay as they are.

    Attributes:
        count: files written.

    Raises:
        DigitsError: the folder cannot be made.
    """

    def __init__(self, folder: Path, pictures: Iterable[str]) -> None:
        self.folder, self.count = folder, 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._taken = {
                os.path.basename(picture).casefold()
                for picture in pictures
                if os.path.realpath(os.path.dirname(picture) or ".") == os.path.realpath(folder)
            }
        except OSError as error:
            raise DigitsError(f"cannot make {folder}: {error.strerror}; try --show=DIR") from error

    def write(self, picture: str, image: NDArray[np.uint8]) -> Path:
        """Writes what the network saw of a picture.

        Args:
            picture: the file that it was made of.
            image: bytes (28, 28).

        Returns:
            The file written.

        Raises:
            DigitsError: it cannot be written.
        """
        path = self.folder / self._name(Path(picture).stem[:_LONGEST_STEM])
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        try:
            write_atomically(path, buffer.getvalue())
        except OSError as error:
            raise DigitsError(f"cannot write {path}: {error.strerror}; try --show=DIR") from error
        self.count += 1
        return path

    def _name(self, stem: str) -> str:
        number, name = 1, f"{stem}-28x28.png"
        while name.casefold() in self._taken:  # some file systems take A.png for a.png
            number += 1
            name = f"{stem}-{number}-28x28.png"
        self._taken.add(name.casefold())
        return name
