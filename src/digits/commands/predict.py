"""Classify pictures of handwritten digits.

RUN is a run directory, its model.pt or a checkpoint. IMAGE is a picture, a folder of pictures, a
pattern in quotes, or - for standard input, in any number. The formats are PNG, JPEG, GIF, BMP,
TIFF, WebP and PPM, up to 89 megapixels: photos of digits on paper, scans, drawings, dark on light
or light on dark, with or without transparency.

Each is brought to the form of the images that the network was trained on: the digit is looked for
(under uneven light, beside the paper's edge, on ruled paper, in a printed frame), its box is scaled
to 20 x 20 pixels with its proportions kept, light ink on a dark ground, its centre of mass at the
centre of 28 x 28.
Several digits, if they do not touch, are classified line by line from left to right.
Where a prediction surprises, --show writes what the network saw.

Prints the digit and the probabilities of all ten, or, of more than three pictures, a line each with
the digit, its probability and the runner-up. --json prints one object a line instead:
  {"file": "a.png", "digit": 7, "probability": 0.98, "probabilities": [0.0, ...]}
  {"file": "b.png", "error": "is empty"}
  {"file": "c.png", "digit": null, "digits": [{"digit": 7, "probability": 0.98,
   "probabilities": [0.0, ...], "box": [left, top, right, bottom]}, ...]}   (on one line)
Where the classes are not digits, their names are printed; "digit" is the number of the class then,
from 0, and "class" beside it its name.

A file that cannot be classified (damaged, blank, not a picture) gets one line that says so, on
stderr or with --json in its place, and the others are classified. The exit code is 0 if all were.

Examples:
  digits predict outputs/runs/first photo.jpg
  digits predict outputs/runs/first photo.jpg --show
  digits predict outputs/runs/first scans/ 'photos/*.jpg' --json > predictions.jsonl
"""

import argparse
import sys
from pathlib import Path

from digits.errors import DigitsError
from digits.text import plural

DEFAULT_FOLDER = Path("outputs/predict")
MAX_CHARTS = 3  # pictures, for each of which all ten probabilities are printed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("run", metavar="RUN", help="a run directory, its model.pt, or a checkpoint")
    images = "a picture, a folder of them, a pattern, or - for standard input"
    parser.add_argument("images", metavar="IMAGE", nargs="+", help=images)
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument(
        "--show",
        type=Path,
        nargs="?",
        const=DEFAULT_FOLDER,
        metavar="DIR",
        help="write the 28 x 28 pictures that the network saw, as PNG, into this folder, where "
        f"only older ones are replaced (default: {DEFAULT_FOLDER}); put it last, or write "
        "--show=DIR",
    )


def run(arguments: argparse.Namespace) -> int:
    """Classify the pictures; return 1 if any of them could not be."""
    folder: Path | None = arguments.show
    if folder and folder.is_file():
        raise DigitsError(
            f"--show takes a folder to write into, got the file {folder}; put --show last, or "
            "write --show=DIR"
        )
    from digits.model_file import load
    from digits.predict import predict as pictures

    model, files = load(arguments.run), pictures.find_pictures(arguments.images)
    for argument in arguments.images:
        if inside := pictures.subfolders(Path(argument)):
            number = plural(len(inside), "subfolder")
            print(f"note: {argument}: {number} with pictures not read; name {inside[0]} as well",
                  file=sys.stderr)  # fmt: skip
    seen = pictures.paths_of_seen(files, folder) if folder else [None] * len(files)
    width = min(48, max(len(pictures.printable(file)) for file in files))
    num_failed = 0
    for prediction, path in zip(pictures.predict(model, files), seen, strict=True):
        num_failed += prediction.error is not None
        if path and prediction.digits:
            pictures.save_seen(prediction, path)
        if arguments.json:
            print(pictures.as_json(prediction))
        elif prediction.error is not None:
            name = pictures.printable(prediction.file)
            print(f"error: {name}: {prediction.error}", file=sys.stderr)
        elif len(files) <= MAX_CHARTS:
            print(pictures.as_chart(prediction))
        else:
            print(pictures.as_line(prediction, width))
    if folder:
        number = plural(len(files) - num_failed, "picture")
        print(f"what the network saw: {folder} ({number})", file=sys.stderr)
    return 1 if num_failed else 0
