"""Classify pictures: find them, bring each to the form of MNIST, ask the network, report it."""

import glob
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from digits.errors import DigitsError
from digits.predict.locating import cut_out, locate
from digits.predict.mnist_form import mnist_form
from digits.predict.reading import read

if TYPE_CHECKING:
    from digits.model_file import TrainedClassifier

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
    # Not read, but a phone's folder is full of them: reported, not passed over in silence.
    *(".heic", ".heif", ".avif"),
)
"""Endings of the files that are taken from a folder."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one picture shows, or why that is not known."""

    file: str  # as it was given
    image: NDArray[np.uint8] | None = None  # bytes (28, 28), what the network saw
    probabilities: tuple[float, ...] = ()  # of the digits 0 to 9; empty after an error
    error: str | None = None  # what is wrong, in one line

    def ranked(self) -> list[int]:
        """Return the digits, the most probable one first."""
        return sorted(range(len(self.probabilities)), key=lambda digit: -self.probabilities[digit])


def predict(model: "TrainedClassifier", files: Iterable[str]) -> Iterator[Prediction]:
    """Classify pictures, in order; one that cannot be classified does not stop the others.

    Args:
        model: what `digits.load` returns, with the classes "0" to "9".
        files: read as they are needed.
    """
    for file in files:
        try:
            image = prepare(Path(file))
        except DigitsError as error:
            yield Prediction(file, error=str(error))
            continue
        with torch.inference_mode():
            logits = model(torch.from_numpy(image)[None, None])
        probabilities = torch.softmax(logits[0].double(), dim=0)
        yield Prediction(file, image, tuple(probabilities.tolist()))


def prepare(path: Path) -> NDArray[np.uint8]:
    """Return the picture of one digit in MNIST's form: bytes (28, 28), light ink on a dark ground.

    Raises:
        DigitsError: the file cannot be read, or no digit is found.
    """
    found = locate(read(path))
    image = mnist_form(cut_out(*found)) if found else None
    if image is None:
        raise DigitsError("no digit found: nothing stands out from the ground as pen strokes do")
    return image


def find_pictures(arguments: Sequence[str]) -> list[str]:
    """Return the files that are meant, in the order of the arguments, each folder's files sorted.

    Args:
        arguments: files, folders, and patterns that the shell left as they are. A file that does
            not exist is returned too: reading it says so.

    Raises:
        DigitsError: there are no pictures in a folder, or none that match a pattern.
    """
    files: list[str] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            found = [
                str(file)
                for file in path.iterdir()
                if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
            ]
        elif path.exists() or not glob.has_magic(argument):
            found = [argument]
        else:
            found = glob.glob(argument, recursive=True)
        if not found:
            raise DigitsError(f"{argument}: no pictures; try a picture, a folder or '*.png'")
        files += sorted(found)
    return files


# What is said of a prediction: as lines for people, and as JSON for programs.


def as_json(prediction: Prediction) -> str:
    """Return one JSON object on one line: the digit and its probabilities, or the error."""
    if prediction.error is not None:
        return json.dumps({"file": prediction.file, "error": prediction.error})
    digit, probabilities = prediction.ranked()[0], [round(p, 6) for p in prediction.probabilities]
    return json.dumps(
        {
            "file": prediction.file,
            "digit": digit,
            "probability": probabilities[digit],
            "probabilities": probabilities,
        }
    )


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


def paths_of_seen(files: Sequence[str], folder: Path) -> list[Path]:
    """Return where what the network saw of each picture is written: "a-28x28.png" for "a.jpg".

    Pictures of the same name get files of their own, "a-2-28x28.png".
    """
    paths: list[Path] = []
    for file in files:
        stem = Path(file).stem
        names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
        free = (path for name in names if (path := folder / f"{name}-28x28.png") not in paths)
        paths.append(next(free))
    return paths
