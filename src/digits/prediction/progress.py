"""Showing how many pictures are done."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

_FEW = 20
"""Pictures that are classified within about two seconds."""

_Item = TypeVar("_Item")


@contextmanager
def show_progress(total: int) -> Iterator[Callable[[Iterable[_Item]], Iterator[_Item]]]:
    """Shows on stderr how far the pictures are, if there are many and stderr is a terminal.

    Args:
        total: number of pictures.

    Yields:
        A function that yields what it is given, and counts it.
    """
    if total <= _FEW or not sys.stderr.isatty():
        yield iter
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("pictures"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Lines for a terminal are printed above the bar; those for a file must reach the file.
    redirect = sys.stdout.isatty()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=redirect) as progress:
        task = progress.add_task("pictures", total=total)

        def counted(items: Iterable[_Item]) -> Iterator[_Item]:
            for item in items:
                yield item
                progress.advance(task)

        yield counted
