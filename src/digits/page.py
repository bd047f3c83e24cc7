"""Tables and pictures as one HTML file that needs nothing else, and the tables on the screen."""

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digits.errors import DigitsError
from digits.files import write_atomically
from digits.text import escape_markdown, markdown_table

# jinja2 and rich are imported where they are needed: `digits --help` imports all verbs.
if TYPE_CHECKING:
    from rich.console import Console

# \u2212 is a minus sign, \u00b1 is plus-minus, \u2013 a dash.
_NUMBER = r"<?[-+\u2212\u00b1]?\d[\d,.]*(e[-+]?\d+)?( ?(%|[A-Za-z]{1,2}))?"
_NOTHING = "default-src 'none'; "
"""So the security policy of every page begins, by which ours are recognized: it loads nothing, and
runs only scripts that are named by their checksums."""
_NUMERIC = re.compile(rf"{_NUMBER}(( to | \u00b1 | / ){_NUMBER})*|[-\u2013]?")


@dataclass(frozen=True)
class Table:
    """Cells of text under headings; `title` says what they are."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]  # as many cells in each as there are columns
    title: str = ""

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Whether each column holds numbers only, which are right-aligned.

        Percentages, intervals ("97.1% to 98.2%"), short units ("3.2 s") and empty cells count as
        numbers.
        """
        columns = [[row[place] for row in self.rows] for place in range(len(self.columns))]
        return tuple(
            any(cells) and all(_NUMERIC.fullmatch(cell) for cell in cells) for cells in columns
        )

    def as_markdown(self) -> str:
        """Return the table, without its title, in Markdown."""
        return markdown_table(self.columns, self.rows, self.numeric)


@dataclass(frozen=True)
class Picture:
    """A PNG file and its caption, which is the alternative text as well."""

    path: Path
    caption: str


@dataclass(frozen=True)
class Section:
    """One heading of a page and what is below it, in this order."""

    title: str
    text: str = ""  # paragraphs, with an empty line between two of them
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    html: str = ""  # of a template of ours, in the page only
    script: str = ""  # plain JavaScript for it


@contextmanager
def report_folder(folder: Path, page: str, files: Sequence[str]) -> Iterator[None]:
    """Write a report within: a `page` and other `files`, which replace an older report's only.

    Raises:
        DigitsError: one of the files is not a report's of ours, or the folder cannot be written.
    """
    is_new = not may_replace(folder, page, files)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if is_new:  # whoever is interrupted can write it again
            write_page(folder / page, "This report was not finished", "Run the same command again.")
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DigitsError(f"cannot write to {folder} ({reason}); try --out FOLDER") from error


def may_replace(folder: Path, page: str, files: Sequence[str] = ()) -> bool:
    """Say whether an older report is there to be replaced.

    Raises:
        DigitsError: another's file is in the way.
    """
    if folder.exists() and not folder.is_dir():
        raise DigitsError(f"--out takes a folder to write into, got the file {folder}")
    path = folder / page
    if path.exists() and _NOTHING in path.read_text(encoding="utf-8", errors="replace"):
        return True
    for name in (page, *files):
        if (folder / name).exists():
            raise DigitsError(
                f"{folder / name} was not written by this verb, and is kept; try --out NEW_FOLDER"
            )
    return False


def render(template: str, **values: Any) -> str:
    """Fill a template of this folder; values are escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["base64"] = lambda file: base64.b64encode(file.read_bytes()).decode()
    return environment.get_template(template).render(**values)


def checksum(text: str) -> str:
    """Return what a page's policy says of a script or a style that it contains."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def write_page(path: Path, title: str, lead: str, sections: Sequence[Section] = ()) -> None:
    """Write one HTML file that holds its pictures, style and scripts, and loads nothing.

    The `lead`, a sentence or two, stands below the title, and a list of the sections at the top.
    """
    policy = f"{_NOTHING}img-src data:; style-src 'unsafe-inline'"
    if scripts := [checksum(each.script) for each in sections if each.script]:
        policy += f"; script-src {' '.join(scripts)}"
    page = render("page.html", title=title, lead=lead, sections=sections, policy=policy)
    write_atomically(path, page)


def as_markdown(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Return what `write_page` writes, as Markdown; pictures are named by their file."""
    blocks = [f"# {title}", escape_markdown(lead)]
    for section in sections:
        blocks.append(f"## {section.title}")
        if section.text:
            blocks.append(escape_markdown(section.text))
        blocks += [table.as_markdown() for table in section.tables]
        for picture in section.pictures:
            caption = escape_markdown(picture.caption)
            blocks += [f"![{caption}]({picture.path.name})", caption]
    return "\n\n".join(blocks) + "\n"


def show_table(console: "Console", table: Table) -> None:
    """Print a table of a page."""
    import rich.table
    from rich.text import Text  # in which [brackets] are no markup

    title = Text(table.title, style="bold") if table.title else None
    shown = rich.table.Table(title=title, title_justify="left")
    for column, is_numeric in zip(table.columns, table.numeric, strict=True):
        shown.add_column(Text(column), justify="right" if is_numeric else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*map(Text, row))
    console.print(shown)
