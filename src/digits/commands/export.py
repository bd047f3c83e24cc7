"""Writes a trained model for other runtimes.

Into the run directory, or the folder --out:

  --to onnx          model.onnx, for onnxruntime and other readers of ONNX: input `images`, output
                     `logits`
  --to torch-export  model.pt2, for torch.export.load: needs torch, but neither digits nor the
                     network's code
  --to safetensors   model.safetensors: the weights, and in the metadata (`digits`, a JSON document)
                     class, arguments, normalization and classes, to rebuild the network from

Input: (batch, 1, 28, 28), any number of images at once, light ink on a dark ground; the
normalization is inside. The pixels are float32 in [0, 1], or with --input bytes uint8 from 0 to
255; model.onnx and model.pt2 refuse the other kind. (What is rebuilt from model.safetensors takes
both.) Output: logits (batch, 10); the largest one's index is the digit.

Each file is loaded by its own runtime and compared with the original on the test images of the
dataset that the run was trained on. The largest difference of a logit is printed. If any image
gets another class, that is an error, and the file is not kept.

Python, with images as a NumPy array or a tensor:

  onnxruntime.InferenceSession("model.onnx").run(["logits"], {"images": images})[0]
  torch.export.load("model.pt2").module()(images)
  safetensors.torch.load_file("model.safetensors")        weights by name

Examples:
  digits export outputs/runs/first
  digits export outputs/runs/first --to onnx,torch-export,safetensors
  digits export outputs/runs/first --input bytes --out exported
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from digits.errors import DigitsError
from digits.exporting.formats import FORMATS, INPUTS, Format

if TYPE_CHECKING:
    from digits.exporting.export import Exported
    from digits.exporting.images import ImagesToCompare


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="a run directory, its model.pt, or a checkpoint"
    )
    parser.add_argument(
        "--to",
        type=_formats,
        action="extend",
        metavar="FORMAT",
        help=f"{', '.join(FORMATS)}; several with commas between them (default: onnx)",
    )
    parser.add_argument(
        "--input",
        choices=tuple(INPUTS),
        default="floats",
        help="pixels that the file takes: floats in [0, 1], or bytes (default: floats)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write (default: the run directory)"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where the MNIST files are, or are downloaded to (default: $DIGITS_DATA, else data)",
    )


def _formats(names: str) -> list[Format]:
    unknown = [name for name in names.split(",") if name not in FORMATS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"there is no format {unknown[0]!r}; try {', '.join(FORMATS)}"
        )
    return [FORMATS[name] for name in names.split(",")]


def run(arguments: argparse.Namespace) -> int:
    """Exports, compares and prints."""
    forms = dict.fromkeys(arguments.to or [FORMATS["onnx"]])  # each once
    for form in forms:
        form.check_packages()

    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, markup=False)
    with console.status("loading the model"):
        from digits.app import import_lightning

        import_lightning()
        from digits import artifact
        from digits.exporting.export import export
        from digits.exporting.images import images_to_compare
        from digits.recorded import results_folder, run_directory, saved_file

        model = artifact.load(arguments.run)
        file = saved_file(arguments.run)
        folder = arguments.out or run_directory(file)
        if file.suffix == ".ckpt" and not arguments.out:  # beside the exports of model.pt
            folder = results_folder(file, "export")
    data_dir = arguments.data_dir or Path(os.environ.get("DIGITS_DATA", "data"))
    images = images_to_compare(model.record["dataset"], data_dir)
    if images.excuse and arguments.data_dir is not None:
        raise DigitsError(f"no test images in --data-dir {arguments.data_dir}: {images.excuse}")
    if images.excuse:
        console.print(
            "compared on random images, since the test images are not here: "
            f"{images.excuse}; try --data-dir DIR",
            style="bold red",
        )
    for form in forms:
        with console.status(f"writing {form.file}, and comparing it with the original"):
            exported = export(model, form, folder, arguments.input, images)
        console.print(_in_words(exported, form, form.kinds(arguments.input), images))
    return 0


def _in_words(
    exported: "Exported", form: Format, kinds: Sequence[str], images: "ImagesToCompare"
) -> str:
    from digits.files import relative

    comparison = exported.comparison
    return (
        f"{relative(exported.path)}: {exported.num_bytes:,} bytes; "
        f"pixels: {' or '.join(INPUTS[kind] for kind in kinds)}\n"
        f"  by {form.runtime}, the same class for all {comparison.num_images:,} {images.name}; "
        f"largest difference of a logit {comparison.largest_difference:.2g}, of logits up to "
        f"{comparison.largest_logit:.1f}"
    )
