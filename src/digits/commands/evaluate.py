"""Measures a finished run on the test images, in detail.

Takes a run directory, its model.pt or a checkpoint, tests it on the data that its own record names,
and writes evaluation.json, pictures and report.html into evaluation/ in the run directory; of a
checkpoint into a folder of its own, as evaluation-last/.

  digits evaluate outputs/runs/first
  digits evaluate outputs/runs/first/checkpoints/last.ckpt
  digits evaluate outputs/runs/first --part val   the images that the training kept apart
"""

import argparse
import os
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory, model.pt, checkpoint")
    parser.add_argument(
        "--part",
        choices=("test", "val"),
        default="test",
        help="images to measure on (default: test)",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path(os.environ.get("DIGITS_DATA", "data")),
        metavar="DIR",
        help="where the MNIST files are, or are downloaded to (default: $DIGITS_DATA, else data)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where to write (default: evaluation/ in the run directory)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Evaluates, writes and prints."""
    from rich.console import Console

    from digits.heavy import import_lightning

    import_lightning()
    from digits.evaluation.evaluate import evaluate
    from digits.evaluation.recorded_metrics import difference
    from digits.evaluation.report import show, write_report
    from digits.recorded import results_folder
    from digits.training.report import relative

    console = Console(highlight=False, soft_wrap=True)
    with console.status("evaluating"):
        evaluation = evaluate(arguments.run, arguments.data_dir, arguments.part)
        place = "evaluation" if arguments.part == "test" else "evaluation-val"
        page = write_report(evaluation, arguments.out or results_folder(evaluation.file, place))
    show(console, evaluation)
    console.print(difference(evaluation))
    console.print(f"written: {relative(page.parent.absolute())}; the page: {page.name}")
    return 0
