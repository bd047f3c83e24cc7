"""Show what is in the data: sizes, classes, statistics, pictures.

Prints tables, and writes them with pictures (PNG) to one HTML page. The images are those that a run
with the same options trains on, validates and tests with; pictures are of training images only.

Examples:
  digits explore
  digits explore --source sample --out outputs/sample
  digits explore --dataset pictures --data-dir handwriting
  digits explore --tensorboard && tensorboard --logdir outputs/explore
"""

import argparse
from pathlib import Path

from digits.commands.data import add_arguments as add_data_arguments
from digits.data.datasets import SAMPLE
from digits.page import report_folder, show_table, write_page
from digits.text import screen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_data_arguments(parser)
    parser.add_argument(
        "--val-size",
        type=int,
        metavar="N",
        help="training images set aside for validation (default: 5000; 500 of the sample; of "
        "pictures a tenth)",
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
    parser.add_argument(
        "--tensorboard", action="store_true", help="write everything for TensorBoard as well"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the verb."""
    console = screen()
    with console.status("importing torch"):
        from digits.explore import PAGE, PICTURES, explore, lead, log_to_tensorboard, read_splits

    out: Path = arguments.out
    dataset, splits = read_splits(
        *(arguments.data_dir, arguments.source, arguments.val_size),
        *(arguments.split_seed, arguments.split, arguments.dataset),
    )
    page = out / PAGE
    with report_folder(out, PAGE, PICTURES), console.status("measuring and drawing"):
        sections = explore(splits, out)
        write_page(page, f"The data: {dataset}", lead(dataset, splits), sections)
        if arguments.tensorboard:
            log_to_tensorboard(out, sections)

    console.print(lead(dataset, splits), style="bold red" if dataset == SAMPLE else "bold")
    for section in sections:
        for table in section.tables:
            show_table(console, table)
    for section in sections:
        for picture in section.pictures:
            console.print(f"{picture.path}: {picture.caption}")
    console.print(f"{page}: everything on one page")
    console.print(f"open it in a browser: {page.resolve().as_uri()}")
    if arguments.tensorboard:
        console.print(f"{out}/events.out.tfevents.*: the same for TensorBoard")
        console.print(f"open it there: tensorboard --logdir {out}")
    return 0
