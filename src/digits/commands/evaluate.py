"""Measure a finished run, or several as an ensemble, on the test images.

Takes a run directory, its model.pt or a checkpoint, measures it on the data that its own record
names, and writes evaluation.json, pictures and report.html into evaluation/ in the run directory;
of a checkpoint into a folder of its own, e.g. evaluation-last/.

Several runs are measured as an ensemble: the mean of their networks' probabilities, beside each of
them alone. The networks may differ, the dataset may not. The same files, and the ensemble's
model.pt, are written into outputs/ensembles/NAME; every verb takes that file as it takes a run.

  digits evaluate outputs/runs/first
  digits evaluate outputs/runs/first/checkpoints/last.ckpt
  digits evaluate outputs/runs/first --part val   the images that the training kept apart
  digits evaluate outputs/runs/first outputs/runs/second
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from digits.evaluate import Evaluation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
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
    """Evaluate, write and print."""
    from digits.evaluate import compare_with_metrics, show, write_report
    from digits.files import relative
    from digits.text import screen

    console = screen()
    with console.status("evaluating"):
        evaluation, folder = (_ensemble if len(arguments.runs) > 1 else _single)(arguments)
        page = write_report(evaluation, folder)
    show(console, evaluation)
    if not evaluation.members:
        console.print(compare_with_metrics(evaluation))
    if len(arguments.runs) > 1:
        console.print(f"the ensemble: {relative(evaluation.file)}")
    console.print(f"written: {relative(folder)}; the page: {page.name}")
    return 0


def _single(arguments: argparse.Namespace) -> "tuple[Evaluation, Path]":
    from digits.data.datasets import default_folder
    from digits.evaluate import evaluate
    from digits.model_file import results_folder

    data_dir = arguments.data_dir or default_folder()
    evaluation = evaluate(arguments.runs[0], data_dir, arguments.part)
    name = "evaluation" if arguments.part == "test" else "evaluation-val"
    return evaluation, arguments.out or results_folder(evaluation.file, name)


def _ensemble(arguments: argparse.Namespace) -> "tuple[Evaluation, Path]":
    from digits.data.datasets import default_folder
    from digits.ensemble import check_folder, combine, ensemble_folder
    from digits.evaluate import evaluate_model
    from digits.model_file import from_content, write_model

    content = combine(arguments.runs)
    folder = arguments.out or ensemble_folder(arguments.runs)
    check_folder(folder, arguments.runs)
    file, data_dir = folder / "model.pt", arguments.data_dir or default_folder()
    evaluation = evaluate_model(from_content(file, content), file, data_dir, arguments.part)
    folder.mkdir(parents=True, exist_ok=True)
    write_model(file, content)
    # A report on validation images leaves the one on test images as it is.
    return evaluation, folder if arguments.part == "test" else folder / "evaluation-val"
