"""Find, download and check the data files.

The four files of MNIST (or another data set) are looked for, downloaded if they are missing, and
verified by their checksums. The exit code is 1 if the data is not available as asked; the sample
counts only with --source sample.

Examples:
  digits data
  digits data --data-dir ~/datasets --source local
  digits data --source sample
  digits data --dataset fashion_mnist
"""

import argparse
from pathlib import Path

from digits.commands import add_data_dir
from digits.data.datasets import (
    MNIST,
    NAMES,
    OF_VERB,
    PICTURES,
    SOURCES,
    WRITERS,
    default_folder,
    prepare,
    published,
)
from digits.data.published import find
from digits.errors import DigitsError
from digits.page import Table, show_table
from digits.text import screen, train_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments, which `digits explore` takes as well."""
    add_data_dir(parser)
    parser.add_argument(
        "--dataset",
        choices=NAMES,
        default=MNIST,
        help="pictures: a folder of your own, with a folder for each class (default: mnist)",
    )
    parser.add_argument(
        "--source",
        choices=SOURCES,
        default="auto",
        help="auto: the files, else a download, else (of MNIST) the sample of 5,000 images; "
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
    folder, source, name = arguments.data_dir, arguments.source, arguments.dataset
    console = screen()
    try:
        dataset = prepare(folder, source, name, arguments.split, OF_VERB)
    finally:
        if source != "sample" and name != PICTURES:
            show_table(console, describe_files(folder, name, writers=arguments.split == "writers"))
    if name == PICTURES:
        console.print(f"{dataset}; {train_command()} data=pictures data.dir={folder} trains on it")
    elif dataset == name:
        command = train_command() + ("" if name == MNIST else f" data={name}")
        command += "" if folder == default_folder() else f" data.dir={folder}"
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


def describe_files(folder: Path, name: str, *, writers: bool) -> Table:
    """Look for the four files, and that of the writers, as training would, and verify them."""
    rows = []
    asked = [published(name), *([WRITERS[name]] if writers and name in WRITERS else [])]
    for dataset, file in ((each, file) for each in asked for file in each):
        if found := find(folder, dataset, file):
            rows.append((str(found.path), f"{len(found.content):,}", found.state))
        else:
            rows.append((file.name, "0", "not found"))
    title = f"the files of {asked[0].catalogue}, in {folder}"
    return Table(("file", "bytes", "checksum"), rows, title)
