"""Find, download and check the data files.

MNIST's four files are looked for, downloaded if they are missing, and verified by SHA-256. The exit
code is 0 if the data can be had as asked, else 1; for the sample alone it is 0 with --source sample
only.

Examples:
  digits data
  digits data --data-dir ~/datasets --source local
  digits data --source sample
"""

import argparse
from pathlib import Path
from typing import get_args

from digits.data.datasets import (
    DATASETS,
    MNIST,
    SAMPLE,
    SOURCES,
    Part,
    default_folder,
    find,
    load_sample,
    parse_idx,
    prepare,
)
from digits.errors import DigitsError
from digits.page import Table, show_table
from digits.text import screen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments, which `digits explore` takes as well."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        default=default_folder(),
        help="where the files are, or are downloaded to (default: DIGITS_DATA, else data)",
    )
    parser.add_argument(
        "--source",
        choices=SOURCES,
        default="auto",
        help="auto: the files, else a download, else the sample of 5,000 images; "
        "local: the files; download: the files, else a download (default: auto)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the verb."""
    folder, source = arguments.data_dir, arguments.source
    try:
        dataset = prepare(folder, source, dir_option="--data-dir", source_option="--source")
        if dataset == SAMPLE and source == "auto":
            raise DigitsError(
                "MNIST is not available, and a run would use the sample of 5,000 images instead; "
                "try --data-dir FOLDER with the four files, or --source sample"
            )
    finally:
        console = screen()
        if source == "sample":
            show_table(console, describe_sample())
        else:
            show_table(console, describe_files(folder.expanduser()))
    if dataset == SAMPLE:
        console.print("python train.py data=sample trains, validates and tests with these 5,000")
        console.print("They are not MNIST: their accuracy is not MNIST's.", style="bold red")
    else:
        command = "train.py" if folder == default_folder() else f"train.py data.dir={folder}"
        console.print(f"python {command} trains and validates on the 60,000, tests on the 10,000")
    return 0


def describe_files(folder: Path) -> Table:
    """Look for the four files as a training would, and verify them."""
    rows = []
    for file in DATASETS[MNIST]:
        copies = find(folder, DATASETS[MNIST], file)
        if copies.path is None or copies.content is None:
            rows.append((file.name, "", "damaged" if copies.damaged else "not found", ""))
        else:
            shape = str(parse_idx(copies.content).shape)
            size = f"{copies.path.stat().st_size:,}"
            rows.append((str(copies.path), size, "good", shape))
    return Table(("file", "bytes", "SHA-256", "shape"), rows, f"the files of MNIST, in {folder}")


def describe_sample() -> Table:
    """Count the images of the sample."""
    rows = [(part, str(tuple(load_sample(part).images.shape))) for part in get_args(Part)]
    return Table(("part", "shape"), rows, "the embedded sample of MNIST's training images")
