"""Errors in one line."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from digits.errors import DigitsError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the process with one line on stderr for what a user can mend; a fault of ours keeps its traceback."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its exceptions on instead of printing them
    try:
        yield
    except DigitsError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
