"""Which data a verb looks at: its options, and its errors in the words of those options."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from digits.errors import DigitsError

SOURCES = ("auto", "local", "download", "sample")
"""As in digits.data.mnist, whose import takes seconds."""

_IN_WORDS_OF_A_VERB = {
    "set data.dir=FOLDER (or DIGITS_DATA)": "use --data-dir FOLDER (or set DIGITS_DATA)",
    "set data.dir=FOLDER": "use --data-dir FOLDER",
    "data.source=": "--source ",
    "data=sample": "--source sample",
    "data.val_size=": "--val-size ",
    "data.val_size": "--val-size",
    "try seed=": "try --split-seed ",
}


def default_folder() -> Path:
    """Where train.py looks for the files, unless it is told."""
    return Path(os.environ.get("DIGITS_DATA", "data"))


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Adds --data-dir and --source."""
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


@contextmanager
def in_words_of_a_verb() -> Iterator[None]:
    """Has errors name --source and the like, where train.py says data.source."""
    try:
        yield
    except DigitsError as error:
        message = str(error)
        for of_train_py, of_a_verb in _IN_WORDS_OF_A_VERB.items():
            message = message.replace(of_train_py, of_a_verb)
        raise DigitsError(message) from error
