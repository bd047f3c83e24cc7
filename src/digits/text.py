"""How values, accuracies, p-values, durations and tables are written, everywhere alike."""

import csv
import difflib
import io
import math
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def typed(value: Any) -> str:
    """Return a value as one types it on the command line: one line, cut where it is long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = f"[{','.join(map(typed, value))}]" if isinstance(value, list | tuple) else str(value)
    text = re.sub(r"\s+", " ", text) if text.strip() else repr(text)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"


def train_command() -> str:
    """Return what a training is started with here: by `digits` or, in the repository, train.py."""
    is_installed = Path(sys.argv[0]).stem in ("digits", "__main__")
    return "digits train" if is_installed else "python train.py"


def plural(number: int, noun: str) -> str:
    """Return e.g. "1 seed" or "5,000 seeds"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def accuracy(mean: float | None, std: float | None = None) -> str:
    """Return fractions in percent, e.g. "97.63% ± 0.11"; "-" if nothing was measured."""
    if mean is None or math.isnan(mean):
        return "-"
    return f"{mean:.2%}" + (f" ± {100 * std:.2f}" if std is not None else "")


def points(fraction: float) -> str:
    """Return a difference of two accuracies in percentage points, with its sign."""
    return f"{100 * fraction:+.2f}".replace("-0.00", "+0.00")


def p_value(p: float) -> str:
    """Return e.g. "p = 0.032", "p = 0.41" or "p < 0.001"."""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def duration(seconds: float) -> str:
    """Return e.g. "4.2 s", "95 s", "12 min" or "3.5 h"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def first_line(error: BaseException) -> str:
    """Return a message's first line that says something; the next too if it ends in a colon."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def similar(name: str, names: Iterable[str], limit: int = 3) -> list[str]:
    """Return up to `limit` names that were probably meant by `name`, nearest first (`difflib`)."""
    return difflib.get_close_matches(name, list(dict.fromkeys(names)), n=limit)


def nearest(key: str, keys: Iterable[str]) -> list[str]:
    """Return the keys that `key` probably means, e.g. optim.lr for optim.lrr or model.lr."""
    parent, _, end = key.rpartition(".")
    keys = list(dict.fromkeys(keys))
    ends = {each: each.rpartition(".")[2] for each in keys}
    near = [each for found in similar(end, ends.values()) for each in keys if ends[each] == found]
    near.sort(key=lambda each: each.rpartition(".")[0] != parent)
    return list(dict.fromkeys([*near, *similar(key, keys)]))


def escape_markdown(text: str) -> str:
    """Escape what Markdown would take for marks."""
    return re.sub(r"([\\|*_<\[])", r"\\\1", text)


def markdown_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[bool]
) -> str:
    """Return a table in Markdown, its cells escaped, the `numeric` columns right-aligned."""

    def row(cells: Iterable[str]) -> str:
        return f"| {' | '.join(escape_markdown(' '.join(cell.split())) for cell in cells)} |"

    marks = ["--:" if right else "---" for right in numeric]
    return "\n".join([row(columns), f"| {' | '.join(marks)} |", *map(row, rows)])


def csv_table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table as CSV; `None` becomes an empty cell."""
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([columns, *rows])
    return table.getvalue()


def screen(*, quiet: bool = False, wide: bool = False) -> "Console":
    """Make the console that everything is printed on: text as it is, no markup, no wrapping.

    Style is an argument: `screen().print("...", style="bold")`. A `wide` console that writes to a
    file has lines of at least 160 characters for tables.
    """
    from rich.console import Console  # takes a tenth of a second

    console = Console(highlight=False, markup=False, soft_wrap=True, quiet=quiet)
    if wide and not console.is_terminal:
        console.width = max(console.width, 160)
    return console
