"""Classify pictures: find them, bring each to the form of MNIST, ask the network, report it."""

import glob
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

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
DIGITS = tuple("0123456789")
SOFTWARE = "digits predict --show"
"""Says in a picture's metadata that it is what a network saw, and may be replaced."""


@dataclass(frozen=True, eq=False)
class Digit:
    """One digit of a picture."""

    image: NDArray[np.uint8]  # bytes (28, 28), what the network saw
    probabilities: tuple[float, ...] = ()  # of the classes
    box: tuple[int, ...] = ()  # left, top, right, bottom, in pixels of the upright picture
    classes: tuple[str, ...] = DIGITS  # their names

    def ranked(self) -> list[int]:
        """Return the indices of the classes, the most probable one first."""
        return sorted(range(len(self.probabilities)), key=lambda label: -self.probabilities[label])

    def said(self, label: int) -> str:
        """Return a class and its probability."""
        width = max(map(len, self.classes))
        return f"{self.classes[label]:<{width}}  {self.probabilities[label]:7.2%}"


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one picture shows, or why that is not known."""

    file: str  # as it was given
    digits: tuple[Digit, ...] = ()  # line by line, from left to right; empty after an error
    error: str | None = None  # what is wrong, in one line

    def number(self) -> str:
        """Return the digits as one writes them, e.g. "72104", or the names of the classes."""
        names = [digit.classes[digit.ranked()[0]] for digit in self.digits]
        return ("" if max(map(len, names)) == 1 else " ").join(names)


def predict(model: "TrainedClassifier", files: Iterable[str]) -> Iterator[Prediction]:
    """Classify pictures, in order; one that cannot be classified does not stop the others.

    Args:
        model: what `digits.load` returns.
        files: read as they are needed; "-" is standard input.
    """
    classes = tuple(map(printable, getattr(model, "classes", DIGITS)))
    for file in files:
        try:
            found = prepare(file)
        except DigitsError as error:
            yield Prediction(file, error=str(error))
            continue
        with torch.inference_mode():
            logits = model(torch.from_numpy(np.stack([each.image for each in found]))[:, None])
        probabilities = torch.softmax(logits.double(), dim=1).tolist()
        digits = [
            replace(digit, probabilities=tuple(row), classes=classes)
            for digit, row in zip(found, probabilities, strict=True)
        ]
        yield Prediction(file, tuple(digits))


def prepare(file: str | Path) -> list[Digit]:
    """Return a picture's digits in MNIST's form: light ink on a dark ground.

    Raises:
        DigitsError: the file cannot be read, or no digit is found.
    """
    picture = read(None if file == "-" else Path(file))
    plane, found = locate(picture) or (picture.grey, [])
    digits = []
    for each in found:
        image = mnist_form(cut_out(plane, each))
        scale = picture.scale * max(plane.shape) / max(each.mask.shape)
        edges = (each.box.left, each.box.top, each.box.right, each.box.bottom)
        if image is not None:
            digits.append(Digit(image, box=tuple(round(edge * scale) for edge in edges)))
    if not digits:
        raise DigitsError("no digit found: nothing stands out from the ground as pen strokes do")
    return digits


def find_pictures(arguments: Sequence[str]) -> list[str]:
    """Return the files that are meant, in the order of the arguments, each folder's files sorted.

    Args:
        arguments: files, folders, patterns that the shell left as they are, and "-". A file that
            does not exist is returned too: reading it says so.

    Raises:
        DigitsError: there are no pictures in a folder, or none that match a pattern.
    """
    files: list[str] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            found = [str(file) for file in path.iterdir() if is_picture(file)]
        elif argument == "-" or path.exists() or not glob.has_magic(argument):
            found = [argument]
        else:
            found = glob.glob(argument, recursive=True)
        if not found:
            inside = subfolders(path)
            other = inside[0] if inside else "a picture, a folder or '*.png'"
            raise DigitsError(f"{argument}: no pictures; try {other}")
        files += sorted(found)
    return files


def subfolders(folder: Path) -> list[Path]:
    """Return those with pictures, which are not read with the folder."""
    return sorted({file.parent for file in folder.glob("*/*") if is_picture(file)})


def is_picture(file: Path) -> bool:
    """Return whether a file's name is that of a picture which can be read."""
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".")


# What is said of a prediction: as lines for people, and as JSON for programs.


def as_json(prediction: Prediction) -> str:
    """Return one JSON object on one line: what the picture shows, or the error."""
    row: dict[str, Any] = {"file": prediction.file}
    if prediction.error is not None:
        row["error"] = prediction.error
    elif len(prediction.digits) == 1:
        row |= _as_dict(prediction.digits[0])
    else:
        digits = [_as_dict(digit) | {"box": list(digit.box)} for digit in prediction.digits]
        row |= {"digit": None, "digits": digits}
    return json.dumps(row, allow_nan=False)


def _as_dict(digit: Digit) -> dict[str, Any]:
    first, probabilities = digit.ranked()[0], [round(p, 6) for p in digit.probabilities]
    name = {} if digit.classes == DIGITS else {"class": digit.classes[first]}
    told = {"probability": probabilities[first], "probabilities": probabilities}
    return {"digit": first, **name, **told}


def as_line(prediction: Prediction, file_width: int) -> str:
    """Return file, digit, probability, and the runner-up; or all digits, each with its own."""
    name = f"{printable(prediction.file):<{file_width}}"
    if len(prediction.digits) == 1:
        return f"{name}  {_first_two(prediction.digits[0])}"
    each = (one.said(one.ranked()[0]) for one in prediction.digits)
    return f"{name}  {prediction.number()}  {'  '.join(each)}"


def as_chart(prediction: Prediction) -> str:
    """Return the digit and a bar for each of the probabilities; or a line for each digit."""
    lines = [f"{printable(prediction.file)}: {prediction.number()}"]
    if len(prediction.digits) > 1:
        lines[0] += f" ({len(prediction.digits)} digits, from left to right)"
        return "\n".join([*lines, *(f"  {_first_two(digit)}" for digit in prediction.digits)])
    for label, probability in enumerate(prediction.digits[0].probabilities):
        bar = "█" * round(40 * probability)
        lines.append(f"  {prediction.digits[0].said(label)}  {bar}".rstrip())
    return "\n".join(lines)


def _first_two(digit: Digit) -> str:
    first, second = digit.ranked()[:2]
    return f"{digit.said(first)}   then {digit.said(second)}"


def printable(text: str) -> str:
    """Return text on one line, with nothing in it that a terminal would take for a command."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def paths_of_seen(files: Sequence[str], folder: Path) -> list[Path]:
    """Return where what the network saw of each picture is written: "a-28x28.png" for "a.jpg".

    Pictures of the same name get files of their own, "a-2-28x28.png".

    Raises:
        DigitsError: another picture would be overwritten.
    """
    paths: list[Path] = []
    for file in files:
        stem = "stdin" if file == "-" else Path(file).stem
        names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
        free = (path for name in names if (path := folder / f"{name}-28x28.png") not in paths)
        paths.append(next(free))
        if paths[-1].exists() and not _is_seen(paths[-1]):
            raise DigitsError(f"--show would overwrite {paths[-1]}; try --show=NEW_FOLDER")
    return paths


def _is_seen(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return image.info.get("Software") == SOFTWARE
    except OSError:
        return False


def save_seen(prediction: Prediction, path: Path) -> None:
    """Write what the network saw of a picture, its digits side by side."""
    note = PngInfo()
    note.add_text("Software", SOFTWARE)
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = np.hstack([digit.image for digit in prediction.digits])
    Image.fromarray(shown).save(path, pnginfo=note)
