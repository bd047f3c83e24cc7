"""The verbs of the command `digits`: what they take, and what they print."""

import argparse
import os
from contextlib import suppress
from pathlib import Path

from digits.data.datasets import MNIST, PICTURES, default_folder, prepare
from digits.errors import DigitsError


def add_data_dir(parser: argparse.ArgumentParser, *, of_run: bool = False) -> None:
    """Add the option that all verbs that read data have; `of_run`: see `data_dir_of`."""
    default = "where the run found them, else " if of_run else ""
    parser.add_argument(
        "--data-dir",
        type=lambda text: Path(os.path.expanduser(text)),
        metavar="DIR",
        default=None if of_run else default_folder(),
        help="where the files are, or are downloaded to "
        f"(default: {default}DIGITS_DATA, else data)",
    )


def data_dir_of(run: Path, given: Path | None) -> Path:
    """Return the data folder of a verb that looks at a run: where its data was, if it still is."""
    from digits.model_file import run_directory
    from digits.run_directory import read_status

    if given is None:
        with suppress(DigitsError, KeyError, TypeError):
            data = read_status(run_directory(run))["config"]["data"]
            recorded, name = Path(data["dir"]), data.get("dataset", MNIST)
            if recorded != default_folder() and name != PICTURES:
                prepare(recorded, "local", name)
            return recorded
    return given or default_folder()
