"""Compare finished runs, or groups of runs over seeds, on the same images.

Finds the runs in run directories, sweep directories or folders of such, groups those that differ in
their seed only, ranks the groups by validation accuracy, and compares each with a baseline, on the
test images or, of runs with test=false, on the validation images. Runs that are not finished or
were evaluated on other images are left out and listed. Writes comparison.md, comparison.csv,
comparison.html, loss_curves.png and, of groups with several data.train_size, learning_curve.png.

Examples:
  digits compare outputs/sweeps/first-sweep
  digits compare outputs/runs/first outputs/runs/second
  digits compare outputs --baseline dropout+sgd
"""

import argparse
from pathlib import Path

SHOWN_WARNINGS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "folders", type=Path, nargs="+", metavar="DIR", help="run or sweep directories"
    )
    parser.add_argument(
        "--baseline",
        metavar="NAME",
        help="what the others are compared with: a group's name or a run directory "
        "(default: the group of the first run)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("outputs/compare"),
        metavar="DIR",
        help="where to write (default: outputs/compare)",
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="write each group's mean curves for TensorBoard"
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare, print and write."""
    from digits.compare import baseline_line, compare, notes, warnings
    from digits.comparison_report import (
        FILES,
        PAGE,
        TENSORBOARD,
        group_table,
        write_events,
        write_report,
    )
    from digits.files import relative
    from digits.page import report_folder, show_table
    from digits.text import screen

    console = screen(wide=True)
    with console.status("comparing"):
        comparison = compare(arguments.folders, arguments.baseline)
        with report_folder(arguments.out, PAGE, FILES):
            page = write_report(comparison, arguments.out)
            if arguments.tensorboard:
                write_events(comparison, arguments.out / TENSORBOARD)
    lines = warnings(comparison)
    for line in lines[:SHOWN_WARNINGS]:
        console.print(line, style="bold red")
    if len(lines) > SHOWN_WARNINGS:
        more = f"and {len(lines) - SHOWN_WARNINGS} more, listed in the files"
        console.print(more, style="bold red")
    show_table(console, group_table(comparison))
    console.print(baseline_line(comparison))
    for versus in comparison.versus.values():
        console.print(versus.verdict, style="bold")
    for line in notes(comparison):
        console.print(line, style="dim")
    console.print(f"written: {relative(page.parent)}; the page: {page.name}")
    if arguments.tensorboard:
        place = relative(arguments.out) / TENSORBOARD
        console.print(f"each group's mean curves: tensorboard --logdir {place}")
    return 0
