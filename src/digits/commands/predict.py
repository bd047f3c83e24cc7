"""Classifies pictures of handwritten digits.

RUN is a run directory, its model.pt or a checkpoint. IMAGE is a picture of one digit, a folder of
pictures, or a pattern in quotes; any number of them, in any mixture. Read are PNG, JPEG, GIF, BMP,
TIFF, WebP and PPM, of any size up to 80 megapixels and 100 MB: photos of a digit on paper, scans,
drawings, dark on light or light on dark, with or without transparency, with 1 to 16 bits a pixel.

Each is brought to the form of the images that the network was trained on: the digit is looked for
(under uneven light, beside the paper's edge, on ruled paper), its box is scaled to 20 x 20 pixels
with its proportions kept, light ink on a dark ground, its centre of mass at the centre of 28 x 28.
Where a prediction surprises, --show writes what the network saw.

Prints the digit and the probabilities of all ten, or, of more than three pictures, a line each with
the digit, its probability and the runner-up. --json prints one object a line instead:
  {"file": "a.png", "digit": 7, "probability": 0.98, "probabilities": [0.0, ...]}
  {"file": "b.png", "error": "is empty"}

A file that cannot be classified (it is damaged, no picture, or blank) gets one line that says so,
on stderr, or with --json in its place; the others are classified all the same. The exit code is 0
if all were, and 1 if any was not.

Examples:
  digits predict outputs/runs/first photo.jpg
  digits predict outputs/runs/first photo.jpg --show
  digits predict outputs/runs/first scans/ 'photos/*.jpg' --json > predictions.jsonl
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from digits.errors import DigitsError

if TYPE_CHECKING:
    from digits.prediction.classifying import Prediction
    from digits.prediction.showing import Shown

DEFAULT_FOLDER = Path("outputs/predict")
_CHARTS = 3
"""Pictures up to which all ten probabilities are printed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("run", metavar="RUN", help="a run directory, its model.pt, or a checkpoint")
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", help="a picture, a folder of them, or a pattern"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument(
        "--show",
        type=Path,
        nargs="?",
        const=DEFAULT_FOLDER,
        metavar="DIR",
        help="write the 28 x 28 pictures that the network saw, as PNG, into this folder "
        f"(default: {DEFAULT_FOLDER}); put it last, or write --show=DIR",
    )


def run(arguments: argparse.Namespace) -> int:
    """Classifies the pictures; returns 1 if any of them could not be."""
    if arguments.show is not None and arguments.show.is_file():
        raise DigitsError(
            f"--show takes a folder to write into, got the file {arguments.show}; "
            "put --show last, or write --show=DIR"
        )
    import digits
    from digits.app import import_lightning

    import_lightning()
    from digits.prediction.classifying import predict
    from digits.prediction.finding import find
    from digits.prediction.printing import as_chart, as_error, as_json, as_line, file_width
    from digits.prediction.progress import show_progress
    from digits.prediction.showing import Shown

    model = digits.load(arguments.run)
    found = list(find(arguments.images))
    files = [file for file, _ in found]
    shown = Shown(arguments.show, files) if arguments.show is not None else None
    width, num_failed = file_width(files), 0
    with show_progress(len(found)) as advance:
        for prediction in predict(model, advance(found)):
            num_failed += prediction.error is not None
            if arguments.json:
                print(as_json(prediction))
            elif prediction.error is not None:
                print(as_error(prediction), file=sys.stderr)
            else:
                few = len(found) <= _CHARTS
                print(as_chart(prediction) if few else as_line(prediction, width))
            if shown:
                _write(shown, prediction)
    if shown:
        pictures = "1 picture" if shown.count == 1 else f"{shown.count:,} pictures"
        print(f"what the network saw: {shown.folder} ({pictures})", file=sys.stderr)
    return 1 if num_failed else 0


def _write(shown: "Shown", prediction: "Prediction") -> None:
    if prediction.image is not None:
        shown.write(prediction.file, prediction.image)
