"""A page's content as Markdown."""

from collections.abc import Iterator, Sequence

from digits.pages.page import Section, Table


def as_markdown(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Returns what `write_page` writes, as Markdown; pictures are named by their file."""
    blocks = [f"# {title}", _plain(lead)]
    for section in sections:
        blocks.append(f"## {section.title}")
        if section.text:
            blocks.append(_plain(section.text))
        blocks += ["\n".join(_table(table)) for table in section.tables]
        for picture in section.pictures:
            blocks += [f"![Loss by epoch]({picture.path.name})", _plain(picture.caption)]
    return "\n\n".join(blocks) + "\n"


def _table(table: Table) -> Iterator[str]:
    yield _row(table.columns)
    yield _row(["--:" if is_numeric else "---" for is_numeric in table.numeric], plain=False)
    for row in table.rows:
        yield _row(row)


def _row(cells: Sequence[str], plain: bool = True) -> str:
    return "| " + " | ".join(_plain(cell) if plain else cell for cell in cells) + " |"


def _plain(text: str) -> str:
    """Escapes what Markdown would take for marks."""
    for mark in r"\|*_<[":
        text = text.replace(mark, f"\\{mark}")
    return text
