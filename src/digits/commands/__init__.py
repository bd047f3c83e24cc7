"""The verbs of the command `digits`: what they take, and what they print."""

import argparse
from pathlib import Path

from digits.data.datasets import default_folder


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Add the option that all verbs that read data have."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        default=default_folder(),
        help="where the files are, or are downloaded to (default: DIGITS_DATA, else data)",
    )
