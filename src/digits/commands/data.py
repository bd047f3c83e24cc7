"""Find, download and check the data files.

MNIST's four files are looked for, downloaded if they are missing, and verified by SHA-256. The exit
code is 1 if the data is not available as asked; the sample counts only with --source sample.

Examples:
  digits data
  digits data --data-dir ~/datasets --source local
  digits data --source sample
"""

import argparse
import os
from pathlib import Path

from digits.commands import add_data_dir
from digits.data.datasets import (
    DATASETS,
    MNIST,
    SOURCES,
    WRITERS,
    NotAsPublishedError,
    default_folder,
    find,
    prepare,
    prepare_writers,
)
from digits.errors import DigitsError
from digits.page import Table, show_table
from digits.text import screen, train_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments, which `digits explore` takes as well."""
    add_data_dir(parser)
    parser.add_argument(
        "--source",
        choices=SOURCES,
        default="auto",
        help="auto: the files, else a download, else the sample of 5,000 images; "
        "local: the files; download: the files, else a download (default: auto)",
    )
    parser.add_argument(
        "--split",
        choices=("random", "writers"),
        default="random",
        help="which training images are for validation; writers: all of some writers, which needs "
        "one more file (default: random)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the verb."""
    folder, source, console = (
        Path(os.path.expanduser(arguments.data_dir)),
        arguments.source,
        screen(),
    )
    by_writers = arguments.split == "writers"
    try:
        dataset = prepare(folder, source, dir_option="--data-dir", source_option="--source")
        if by_writers:
            prepare_writers(
                folder, source, dataset, dir_option="--data-dir", split_option="--split"
            )
    finally:
        if source != "sample":
            show_table(console, describe_files(folder, writers=by_writers))
    if dataset == MNIST:
        command = train_command() + ("" if folder == default_folder() else f" data.dir={folder}")
        console.print(f"{command} trains and validates on the 60,000, tests on the 10,000")
    elif source == "sample":
        console.print(
            f"{train_command()} data=sample trains, validates and tests with 5,000 images"
        )
        console.print("They are not MNIST: their accuracy is not MNIST's.", style="bold red")
    else:
        raise DigitsError(
            "MNIST is not available, and a run would use the sample of 5,000 images instead; "
            "try --data-dir FOLDER with the four files, or --source sample"
        )
    return 0


def describe_files(folder: Path, *, writers: bool = False) -> Table:
    """Look for the four files, and that of the writers, as training would, and verify them."""
    rows = []
    asked = [DATASETS[MNIST], *([WRITERS[MNIST]] if writers else [])]
    for dataset, file in ((each, file) for each in asked for file in each):
        try:
            found = find(folder, dataset, file)
        except NotAsPublishedError as error:
            rows.append((str(error.path), f"{error.path.stat().st_size:,}", error.state))
        else:
            path, content = found or (file.name, b"")
            rows.append((str(path), f"{len(content):,}", "good" if found else "not found"))
    return Table(("file", "bytes", "SHA-256"), rows, f"the files of MNIST, in {folder}")
