"""Write a trained model for other runtimes.

Into the run directory, or the folder --out:

  --to onnx          model.onnx, for onnxruntime and other readers of ONNX: input `images`, output
                     `logits`
  --to torch-export  model.pt2, for torch.export.load: needs torch, but neither digits nor the
                     network's code
  --to safetensors   model.safetensors: the weights, and in the metadata (`digits`, a JSON document)
                     class, arguments, normalization and classes, to rebuild the network from

Input: (batch, 1, 28, 28), any number of images at once, light ink on a dark ground; the
normalization is inside. The pixels are float32 in [0, 1], or with --input bytes uint8 from 0 to
255; model.onnx and model.pt2 refuse the other type. (A network rebuilt from model.safetensors takes
both.) Output: logits (batch, classes); the index of the largest is the digit or class.

Each file is loaded by its own runtime and compared with the original on the test images of the
dataset that the run was trained on; the largest difference of a logit is printed. If any image gets
another class, that is an error and the file is not kept.

Examples:
  digits export outputs/runs/first
  digits export outputs/runs/first --to onnx,torch-export,safetensors
  digits export outputs/runs/first --input bytes --out exported
"""

import argparse
from pathlib import Path

from digits.commands import add_data_dir, data_dir_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    run = "run directory, model.pt or checkpoint"
    parser.add_argument("run", type=Path, metavar="RUN", help=run)
    parser.add_argument(
        "--to",
        action="extend",
        type=lambda names: names.split(","),
        metavar="FORMAT",
        help="onnx, torch-export or safetensors; several separated by commas (default: onnx)",
    )
    pixels = "pixels that the file takes: floats in [0, 1], or bytes (default: floats)"
    parser.add_argument("--input", choices=("floats", "bytes"), default="floats", help=pixels)
    out = "where to write (default: the run directory)"
    parser.add_argument("--out", type=Path, metavar="DIR", help=out)
    add_data_dir(parser, of_run=True)


def run(arguments: argparse.Namespace) -> int:
    """Export, compare and print."""
    from digits.data.datasets import read_again
    from digits.errors import DigitsError
    from digits.export import FORMATS, INPUTS, export
    from digits.files import relative
    from digits.model_file import load, model_path, results_folder, run_directory
    from digits.text import screen

    if arguments.out and arguments.out.is_file():
        raise DigitsError(f"--out takes a folder to write into, got the file {arguments.out}")
    names = dict.fromkeys(arguments.to or ["onnx"])  # each once
    for name in names:
        if name not in FORMATS:
            raise DigitsError(f"--to must be one of {', '.join(FORMATS)}, got {name!r}")
        FORMATS[name].check_packages()

    console = screen()
    with console.status("loading the model"):
        model, file = load(arguments.run), model_path(arguments.run)
        of_checkpoint = file.suffix == ".ckpt"  # its exports go beside those of model.pt
        folder = results_folder(file, "export") if of_checkpoint else run_directory(file)
        folder = arguments.out or folder
        dataset = model.record["dataset"]
        data_dir = data_dir_of(arguments.run, arguments.data_dir)
        images = read_again(data_dir, "test", dataset).images
    for name in names:
        form = FORMATS[name]
        with console.status(f"writing {form.file}, and comparing it with the original"):
            path, comparison = export(model, form, folder, arguments.input, images)
        console.print(
            f"{relative(path)}: {path.stat().st_size:,} bytes; pixels: {INPUTS[arguments.input]}\n"
            f"  by {form.runtime}, the same class for all {len(images):,} test images of {dataset}"
            f"; largest difference of a logit {comparison.largest_difference:.2g}, of logits up "
            f"to {comparison.largest_logit:.1f}"
        )
    return 0
