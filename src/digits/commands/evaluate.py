"""Measures a finished run, or several as an ensemble, on the test images.

Takes a run directory, its model.pt or a checkpoint, tests it on the data that its own record names,
and writes evaluation.json, pictures and report.html into evaluation/ in the run directory; of a
checkpoint into a folder of its own, as evaluation-last/.

Several runs are measured as an ensemble: the mean of their networks' probabilities, beside each of
them alone. They may be different networks, but of the same dataset. The same files, and the
ensemble's model.pt, are written into outputs/ensembles/NAME; that file is evaluated, exported and
predicts like any other.

  digits evaluate outputs/runs/first
  digits evaluate outputs/runs/first/checkpoints/last.ckpt
  digits evaluate outputs/runs/first --part val   the images that the training kept apart
  digits evaluate outputs/runs/first outputs/runs/second
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from digits.evaluation.evaluate import Evaluation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="run directory, model.pt or checkpoint; several for an ensemble",
    )
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
        help="where to write (default: evaluation/ in the run directory; of an ensemble "
        "outputs/ensembles/NAME)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Evaluates, writes and prints."""
    from rich.console import Console

    from digits.app import import_lightning

    import_lightning()
    from digits.evaluation.recorded_metrics import difference
    from digits.evaluation.report import show, write_report
    from digits.files import relative

    console = Console(highlight=False, soft_wrap=True)
    with console.status("evaluating"):
        evaluation, folder = (_ensemble if len(arguments.runs) > 1 else _single)(arguments)
        page = write_report(evaluation, folder)
    show(console, evaluation)
    if not evaluation.members:
        console.print(difference(evaluation))
    if len(arguments.runs) > 1:
        console.print(f"the ensemble: {relative(evaluation.file.absolute())}")
    console.print(f"written: {relative(page.parent.absolute())}; the page: {page.name}")
    return 0


def _single(arguments: argparse.Namespace) -> "tuple[Evaluation, Path]":
    from digits.evaluation.evaluate import evaluate
    from digits.recorded import results_folder

    evaluation = evaluate(arguments.runs[0], arguments.data_dir, arguments.part)
    place = "evaluation" if arguments.part == "test" else "evaluation-val"
    return evaluation, arguments.out or results_folder(evaluation.file, place)


def _ensemble(arguments: argparse.Namespace) -> "tuple[Evaluation, Path]":
    from digits.artifact import write_model
    from digits.ensembles.combine import combine
    from digits.ensembles.names import check_folder, ensemble_folder
    from digits.evaluation.evaluate import evaluate_content

    content = combine(arguments.runs)
    folder = arguments.out or ensemble_folder(arguments.runs)
    check_folder(folder, arguments.runs)
    file = folder / "model.pt"
    evaluation = evaluate_content(file, content, arguments.data_dir, arguments.part)
    folder.mkdir(parents=True, exist_ok=True)
    write_model(file, content)
    # A report on validation images leaves the one on test images as it is.
    return evaluation, folder if arguments.part == "test" else folder / "evaluation-val"
