"""Showing how far a download is."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from digits.data.files import DataFile


@contextmanager
def show_progress(url: str, file: DataFile) -> Iterator[Callable[[int], None]]:
    """Show on stderr how far a download is: a bar on a terminal, else one line.

    Args:
        url: Where the file comes from; only its host is shown.
        file: The file, whose published size is the bar's length.

    Yields:
        A function to call with the number of bytes that have arrived since its last call.
    """
    host = urlsplit(url).hostname
    if not sys.stderr.isatty():
        print(f"downloading {file.gz_name} from {host}", file=sys.stderr)
        yield lambda num_bytes: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"{file.gz_name} from {host}", total=file.gz_bytes)
        yield lambda num_bytes: progress.advance(task, num_bytes)
