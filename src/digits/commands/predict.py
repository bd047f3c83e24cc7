"""Classify pictures of handwritten digits.

RUN is a run directory, its model.pt or a checkpoint. IMAGE is a picture of one digit, a folder of
pictures, or a pattern in quotes, in any number. The formats are PNG, JPEG, GIF, BMP, TIFF, WebP and
PPM, of any size up to 89 megapixels and 100 MB: photos of a digit on paper, scans,
drawings, dark on light or light on dark, with or without transparency, with 1 to 16 bits a pixel.

Each is brought to the form of the images that the network was trained on: the digit is looked for
(under uneven light, beside the paper's edge, on ruled paper), its box is scaled to 20 x 20 pixels
with its proportions kept, light ink on a dark ground, its centre of mass at the centre of 28 x 28.
Where a prediction surprises, --show writes what the network saw.

Prints the digit and the probabilities of all ten, or, of more than three pictures, a line each with
the digit, its probability and the runner-up. --json prints one object a line instead:
  {"file": "a.png", "digit": 7, "probability": 0.98, "probabilities": [0.0, ...]}
  {"file": "b.png", "error": "is empty"}

A file that cannot be classified (damaged, blank, not a picture) gets one line that says so,
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

from digits.errors import DigitsError
from digits.text import plural, screen

DEFAULT_FOLDER = Path("outputs/predict")
MAX_CHARTS = 3
"""Pictures up to which all ten probabilities are printed."""
MIN_FOR_PROGRESS = 20
"""Pictures that are classified within about two seconds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
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
    """Classify the pictures; return 1 if any of them could not be."""
    if arguments.show is not None and arguments.show.is_file():
        raise DigitsError(
            f"--show takes a folder to write into, got the file {arguments.show}; "
            "put --show last, or write --show=DIR"
        )
    from rich.progress import track

    from digits.model_file import load
    from digits.predict import predict as pictures

    model = load(arguments.run)
    found = list(pictures.find_pictures(arguments.images))
    files = [file for file, _ in found]
    seen = pictures.paths_of_seen(files, arguments.show) if arguments.show else [None] * len(files)
    width = min(48, max((len(pictures.printable(file)) for file in files), default=0))
    num_failed, num_shown = 0, 0
    # On a terminal the lines themselves show the progress; track would take them from a file.
    output, console = sys.stdout, screen(stderr=True)
    no_bar = len(found) < MIN_FOR_PROGRESS or output.isatty() or not console.is_terminal
    counted = track(found, "pictures", console=console, transient=True, disable=no_bar)
    for prediction, path in zip(pictures.predict(model, counted), seen, strict=True):
        num_failed += prediction.error is not None
        if arguments.json:
            print(pictures.as_json(prediction), file=output)
        elif prediction.error is not None:
            print(pictures.as_error(prediction), file=sys.stderr)
        elif len(found) <= MAX_CHARTS:
            print(pictures.as_chart(prediction), file=output)
        else:
            print(pictures.as_line(prediction, width), file=output)
        if path is not None and prediction.image is not None:
            pictures.write_seen(path, prediction.image)
            num_shown += 1
    if arguments.show:
        number = plural(num_shown, "picture")
        print(f"what the network saw: {arguments.show} ({number})", file=sys.stderr)
    return 1 if num_failed else 0
