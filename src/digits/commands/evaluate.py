"""Measure a finished run, or several as an ensemble, on the test images.

Writes evaluation.json, pictures and report.html into evaluation/ in the run directory; for a
checkpoint into a folder of its own, e.g. evaluation-last/. With --views it averages the
probabilities of several views of each image, a little moved or scaled, and writes into
evaluation-views-9/; the run's own results stay as they are.

Several runs are measured as an ensemble: the mean of their networks' probabilities, beside each of
them alone. The networks may differ, the dataset may not. The same files, and the ensemble's
model.pt, are written into outputs/ensembles/NAME; every verb takes that file as it takes a run.

  digits evaluate outputs/runs/first
  digits evaluate outputs/runs/first/checkpoints/last.ckpt
  digits evaluate outputs/runs/first --part val   the images that the training kept apart
  digits evaluate outputs/runs/first --views 9    the mean over shifts by one pixel; 3: over scales
  digits evaluate outputs/runs/first outputs/runs/second
  digits evaluate outputs/runs/first --pictures handwriting

With --pictures it measures on pictures of your own: the folder holds one folder for each class,
named by it, as handwriting/7/photo.jpg. They are prepared as digits predict does it; what cannot be
used is named and left out. The results are in evaluation-pictures-handwriting/.
"""

import argparse
from pathlib import Path

from digits.commands import add_data_dir, data_dir_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="run directory, model.pt or checkpoint; several for an ensemble",
    )
    part = "images to measure on (default: test)"
    measured_on = parser.add_mutually_exclusive_group()
    measured_on.add_argument("--part", choices=("test", "val"), default="test", help=part)
    pictures = "measure on pictures of your own, in a folder for each class"
    measured_on.add_argument("--pictures", type=Path, metavar="FOLDER", help=pictures)
    views = "average over 9 shifts by up to one pixel, or 3 scales (default: 1, no average)"
    parser.add_argument("--views", type=int, choices=(1, 3, 9), default=1, help=views)
    add_data_dir(parser, of_run=True)
    out = "where to write (default: evaluation/ in the run directory, or outputs/ensembles/NAME)"
    parser.add_argument("--out", type=Path, metavar="DIR", help=out)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, write and print."""
    from digits.ensemble import check_folder, combine, ensemble_folder
    from digits.evaluate import FILES, PAGE, compare_with_metrics, evaluate, show, write_report
    from digits.files import relative, slug
    from digits.mistakes import explain
    from digits.model_file import from_content, load, model_path, results_folder, write_model
    from digits.page import report_folder
    from digits.run_directory import MODEL
    from digits.text import screen

    console, paths, part = screen(), arguments.runs, arguments.part
    num_views = arguments.views
    name = "evaluation" if part == "test" else "evaluation-val"
    if arguments.pictures:
        name += f"-pictures-{slug(arguments.pictures.resolve().name)}"
    name += f"-views-{num_views}" if num_views > 1 else ""
    with console.status("evaluating"):
        data_dir = data_dir_of(paths[0], arguments.data_dir)
        options = data_dir, part, num_views, arguments.pictures
        if len(paths) == 1:
            file = model_path(paths[0])
            model = load(file)
            folder = arguments.out or results_folder(file, name)
        else:
            content = combine(paths)
            folder = arguments.out or ensemble_folder(paths)
            check_folder(folder, paths)
            file = folder / MODEL
            model = from_content(file, content)
            if name != "evaluation":  # the report on test images stays as it is
                folder /= name
        evaluation = evaluate(model, file, *options)
        images, mistakes = evaluation.images.images, evaluation.measures.mistakes
        explanation = explain(model, images, mistakes, data_dir)
        with report_folder(folder, PAGE, FILES):
            if len(paths) > 1:
                write_model(file, content)
            page = write_report(evaluation, explanation, folder)
    show(console, evaluation)
    if len(paths) > 1:
        console.print(f"the ensemble: {relative(file)}")
    elif not evaluation.members and not arguments.pictures and num_views == 1:
        console.print(compare_with_metrics(evaluation))
    console.print(f"written: {relative(folder)}; the page: {page.name}")
    return 0
