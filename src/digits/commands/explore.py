"""Shows what the data are: sizes, classes, statistics, pictures.

Prints tables, and writes them with pictures (PNG) to one HTML page. The images are those that a run
with the same options trains on, validates and tests with; pictures are of training images only.

Examples:
  digits explore
  digits explore --source sample --out outputs/sample
  digits explore --tensorboard && tensorboard --logdir outputs/explore
"""

import argparse
from pathlib import Path

from digits.errors import DigitsError
from digits.exploration.options import add_data_options, in_words_of_a_verb


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    add_data_options(parser)
    parser.add_argument(
        "--val-size",
        type=int,
        default=5000,
        metavar="N",
        help="training images kept apart for validation (default: 5000; 500 of the sample)",
    )
    parser.add_argument(
        "--split-seed", type=int, default=0, metavar="N", help="draws them (default: 0)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("outputs/explore"),
        metavar="FOLDER",
        help="where the files are written (default: outputs/explore)",
    )
    parser.add_argument("--tensorboard", action="store_true", help="also log it all there")


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    with console.status("importing torch"):
        from digits.data.mnist import SAMPLE
        from digits.exploration.findings import explore, lead
        from digits.exploration.splits import read_splits
        from digits.page import show_table, write_page

    out: Path = arguments.out
    with in_words_of_a_verb():
        dataset, splits = read_splits(
            arguments.data_dir, arguments.source, arguments.val_size, arguments.split_seed
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        with console.status("measuring and drawing"):
            sections = explore(splits, out)
            page = out / "index.html"
            write_page(page, f"The data: {dataset}", lead(dataset, splits), sections)
            if arguments.tensorboard:
                from digits.exploration.tensorboard import log_findings

                log_findings(out, splits, sections)
    except OSError as error:
        raise DigitsError(
            f"cannot write to {out} ({error.strerror or error}); try --out FOLDER"
        ) from error

    console.print(lead(dataset, splits), style="bold red" if dataset == SAMPLE else "bold")
    for section in sections:
        for table in section.tables:
            show_table(console, table)
    for picture in (picture for section in sections for picture in section.pictures):
        console.print(f"{picture.path}: {picture.caption}", markup=False)
    console.print(f"{page}: everything on one page", markup=False)
    console.print(f"to look at it in a browser: {page.resolve().as_uri()}", markup=False)
    if arguments.tensorboard:
        console.print(f"{out}/events.out.tfevents.*: the same for TensorBoard", markup=False)
        console.print(f"to browse it there: tensorboard --logdir {out}", markup=False)
    return 0
