"""Classify pictures: find them, bring each to the form of MNIST, ask the network, report it."""

import glob
import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from digits.errors import DigitsError
from digits.files import write_atomically
from digits.predict.locating import cut_out, locate
from digits.predict.mnist_form import mnist_form
from digits.predict.reading import read

if TYPE_CHECKING:
    from digits.model_file import TrainedClassifier

BATCH_SIZE = 256
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
    # Not read, but a phone's folder is full of them: reported, not passed over in silence.
    *(".heic", ".heif", ".avif"),
)
"""Endings of the files that are taken from a folder."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one picture shows, or why that is not known.

    Attributes:
        file: the picture, as it was given.
        image: bytes (28, 28), what the network saw; `None` after an error.
        probabilities: of the digits 0 to 9; empty after an error.
        error: what is wrong, in one line; `None` if nothing is.
    """

    file: str
    image: NDArray[np.uint8] | None = None
    probabilities: tuple[float, ...] = ()
    error: str | None = None

    def ranked(self) -> list[int]:
        """Return the digits, the most probable one first."""
        return sorted(range(len(self.probabilities)), key=lambda digit: -self.probabilities[digit])


def predict(
    model: "TrainedClassifier",
    files: Iterable[tuple[str, DigitsError | None]],
    batch_size: int = BATCH_SIZE,
) -> Iterator[Prediction]:
    """Classify pictures, in order; one that cannot be classified does not stop the others.

    Args:
        model: what `digits.load` returns, with the classes "0" to "9".
        files: what `find_pictures` yields; read as they are needed.
        batch_size: pictures that are in memory, and are classified, at a time.
    """
    remaining = iter(files)
    while batch := [_prepared(*each) for each in itertools.islice(remaining, batch_size)]:
        images = [each.image for each in batch if each.image is not None]
        rows = iter(_probabilities(model, images) if images else ())
        for each in batch:
            yield each if each.image is None else replace(each, probabilities=tuple(next(rows)))


def _prepared(file: str, error: DigitsError | None) -> Prediction:
    try:
        if error is not None:
            raise error
        return Prediction(file, image=prepare(Path(file)))
    except DigitsError as mistake:
        return Prediction(file, error=" ".join(str(mistake).split()))


def prepare(path: Path) -> NDArray[np.uint8]:
    """Read a picture of one digit and bring it to MNIST's form.

    Returns:
        Bytes of shape (28, 28), light ink on a dark ground.

    Raises:
        DigitsError: the file cannot be read (`reading.read`), or no digit is found.
    """
    found = locate(read(path))
    image = mnist_form(cut_out(*found)) if found else None
    if image is None:
        raise DigitsError("no digit found: nothing stands out from the ground as pen strokes do")
    return image


def _probabilities(
    model: "TrainedClassifier", images: list[NDArray[np.uint8]]
) -> list[list[float]]:
    with torch.inference_mode():
        logits = model(torch.from_numpy(np.stack(images)).unsqueeze(1))
    probabilities: list[list[float]] = torch.softmax(logits.double(), dim=1).tolist()
    return probabilities


# The files that are meant.


def find_pictures(arguments: Sequence[str]) -> Iterator[tuple[str, DigitsError | None]]:
    """Yield the files that are meant, in the order of the arguments, each folder's files sorted.

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
        except (OSError, ValueError) as error:  # too long a name, a folder that must not be read
            yield argument, DigitsError(f"cannot be read: {error}")
        else:
            yield from ((file, None) for file in files)


def _files(argument: str) -> list[str]:
    path = Path(argument)
    if path.is_dir():
        found = [
            str(file)
            for file in path.iterdir()
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
        ]
        missing = f"there are no pictures in this folder (of {', '.join(SUFFIXES)})"
    elif path.exists():
        return [argument]
    elif glob.has_magic(argument):
        found = [file for file in glob.glob(argument, recursive=True) if Path(file).is_file()]
        missing = "no file matches this pattern"
    else:
        raise DigitsError("there is no such file; try a picture, a folder or a pattern as '*.png'")
    if not found:
        raise DigitsError(missing)
    return sorted(found)


# What is said of a prediction: as lines for people, and as JSON for programs.


def as_json(prediction: Prediction) -> str:
    """Return one JSON object on one line: the digit and its probabilities, or the error."""
    content: dict[str, object] = {"file": prediction.file}
    if prediction.error is not None:
        return json.dumps(content | {"error": prediction.error})
    digit = prediction.ranked()[0]
    return json.dumps(
        content
        | {
            "digit": digit,
            "probability": round(prediction.probabilities[digit], 6),
            "probabilities": [round(each, 6) for each in prediction.probabilities],
        }
    )


def as_error(prediction: Prediction) -> str:
    """Return the line that says what is wrong with a file."""
    return f"error: {printable(prediction.file)}: {printable(prediction.error or '')}"


def as_line(prediction: Prediction, file_width: int) -> str:
    """Return file, digit, probability, and the runner-up with its own."""
    first, second = prediction.ranked()[:2]
    return (
        f"{printable(prediction.file):<{file_width}}  {first}  {_percent(prediction, first)}"
        f"   then {second}  {_percent(prediction, second)}"
    )


def as_chart(prediction: Prediction) -> str:
    """Return the digit, and a bar for each of the ten probabilities."""
    lines = [f"{printable(prediction.file)}: {prediction.ranked()[0]}"]
    for digit, probability in enumerate(prediction.probabilities):
        bar = "█" * round(40 * probability)
        lines.append(f"  {digit}  {_percent(prediction, digit)}  {bar}".rstrip())
    return "\n".join(lines)


def printable(text: str) -> str:
    """Return text on one line, with nothing in it that a terminal would take for a command."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _percent(prediction: Prediction, digit: int) -> str:
    return f"{prediction.probabilities[digit]:7.2%}"


# What the network saw, as files.


def paths_of_seen(pictures: Sequence[str], folder: Path) -> list[Path]:
    """Return where what the network saw of each picture is written: "a-28x28.png" for "a.jpg".

    Two pictures of the same name get two files, and no picture is overwritten.
    """
    taken = {
        os.path.basename(picture).casefold()
        for picture in pictures
        if os.path.realpath(os.path.dirname(picture) or ".") == os.path.realpath(folder)
    }
    paths = []
    for picture in pictures:
        number, stem = 1, Path(picture).stem[:80]
        name = f"{stem}-28x28.png"
        while name.casefold() in taken:  # some file systems take A.png for a.png
            number += 1
            name = f"{stem}-{number}-28x28.png"
        taken.add(name.casefold())
        paths.append(folder / name)
    return paths


def write_seen(path: Path, image: NDArray[np.uint8]) -> None:
    """Write bytes (28, 28) as PNG; the folder is made if it is not there.

    Raises:
        DigitsError: it cannot be written.
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise DigitsError(f"cannot write {path}: {error.strerror}; try --show=DIR") from error
