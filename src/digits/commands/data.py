"""Finds, downloads and checks the data files.

MNIST's four files are looked for, downloaded if they are missing, and verified by SHA-256. The exit
code is 0 if the data can be had as asked, else 1; for the sample alone it is 0 with --source sample
only.

Examples:
  digits data
  digits data --data-dir ~/datasets --source local
  digits data --source sample
"""

import argparse

from digits.errors import DigitsError
from digits.exploration.options import add_data_options, default_folder, in_words_of_a_verb


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    add_data_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    with console.status("importing torch"):
        from digits.data.mnist import SAMPLE, prepare
        from digits.exploration.files import describe_files, describe_sample
        from digits.page import show_table

    folder, source = arguments.data_dir, arguments.source
    with in_words_of_a_verb():
        try:
            dataset = prepare(folder, source)
        except DigitsError:
            if source != "sample":
                show_table(console, describe_files(folder))
            raise
        table = describe_sample() if source == "sample" else describe_files(folder)
    show_table(console, table)
    if source == "auto" and dataset == SAMPLE:
        raise DigitsError(
            "MNIST could not be had, and a training would take the sample of 5,000 images in its "
            "place; try --data-dir FOLDER, where the four files are, or --source sample if that is "
            "what you want"
        )
    if dataset == SAMPLE:
        console.print("python train.py data=sample trains, validates and tests with these 5,000")
        console.print("[bold red]They are not MNIST: their accuracy is not MNIST's.[/bold red]")
    else:
        command = "train.py" if folder == default_folder() else f"train.py data.dir={folder}"
        console.print(
            f"python {command} trains and validates on the 60,000, tests with the 10,000",
            markup=False,
        )
    return 0
