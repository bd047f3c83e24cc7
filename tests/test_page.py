import base64
import hashlib
import io
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from digits.errors import DigitsError
from digits.page import Picture, Section, Table, report_folder, show_table, write_page

TABLE = Table(
    ("run", "accuracy", "95 % interval", "note"),
    [("a [bold]", "97.90%", "97.46% to 98.26%", ""), ("b & c", "1,234", "-0.5 ± 0.12", "<script>")],
    "two [/x] runs",
)


class Reader(HTMLParser):
    """Collect the tags with their attributes, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "red.png"
    Image.new("RGB", (2, 3), "red").save(path)
    return path


@pytest.fixture
def page(tmp_path: Path, png: Path) -> Reader:
    path = tmp_path / "page.html"
    sections = [
        Section("Results", "One.\n\nTwo <b>.", [TABLE], [Picture(png, 'a "red" picture')]),
        Section("Nothing"),
    ]
    write_page(path, "A & B", "The lead.", sections)
    reader = Reader()
    reader.feed(path.read_text())
    return reader


def test_page_and_screen_show_all_text_as_it_was_given(page: Reader) -> None:
    screen = io.StringIO()
    show_table(Console(file=screen, width=200, highlight=False), TABLE)
    cells = [cell for row in TABLE.rows for cell in row if cell]
    for text in (TABLE.title, *TABLE.columns, *cells):
        assert text in page.text
        assert text in screen.getvalue()
    assert {"A & B", "The lead.", "One.", "Two <b>."} < set(page.text)


def test_a_picture_is_embedded_with_an_alternative_text(page: Reader, png: Path) -> None:
    (image,) = page.all("img")
    assert image["alt"] == 'a "red" picture'
    kind, _, data = (image["src"] or "").partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == png.read_bytes()


def test_a_page_runs_no_script_loads_nothing_and_links_to_its_sections(page: Reader) -> None:
    assert not page.all("script")
    links = [link["href"] for link in page.all("a")]
    assert links == [f"#{section['id']}" for section in page.all("section")]
    for _, attributes in page.tags:
        for address in (attributes.get("src"), attributes.get("href")):
            assert (address or "#").startswith(("data:", "#"))
    policy = next(meta for meta in page.all("meta") if "http-equiv" in meta)
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert policy["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_a_sections_script_is_the_only_one_that_may_run(tmp_path: Path) -> None:
    path, script = tmp_path / "page.html", "alert(1 < 2)"
    write_page(path, "", "", [Section("One", html="<p id='mine'>", script=script), Section("Two")])
    reader = Reader()
    reader.feed(path.read_text())
    assert len(reader.all("script")) == 1 and script in reader.text
    policy = reader.all("meta")[1]["content"] or ""
    checksum = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert policy.endswith(f"; script-src 'sha256-{checksum}'")


@pytest.mark.parametrize(
    ("cells", "is_numeric"),
    [
        (("1", "12,000", "", "97.90%", "97.46% to 98.26%", "3.2 s", "10 MB", "-"), True),
        (("0.5 ± 0.1", "-1.5e-05", "\u22123"), True),
        (("", ""), False),
        (("1", "one"), False),
        (("2026-11-22",), False),
        (("(60000, 28, 28)",), False),
    ],
)
def test_numbers_are_distinguished_from_words(cells: tuple[str, ...], is_numeric: bool) -> None:
    assert Table(("column",), [(cell,) for cell in cells]).numeric == (is_numeric,)


def test_a_table_without_rows_can_be_shown(tmp_path: Path) -> None:
    empty = Table(("a", "b"), [])
    write_page(tmp_path / "page.html", "", "", [Section("", tables=[empty])])
    show_table(Console(file=io.StringIO()), empty)


@pytest.mark.parametrize("name", ["index.html", "curves.png"])
def test_a_report_replaces_an_older_one_and_nothing_else(name: str, tmp_path: Path) -> None:
    for _ in range(2):
        with report_folder(tmp_path / "new", "index.html", ["curves.png"]):
            (tmp_path / "new" / "curves.png").touch()
    (tmp_path / name).write_text("mine")
    with (
        pytest.raises(DigitsError, match=rf"{name} was not written by .*; try --out NEW_FOLDER"),
        report_folder(tmp_path, "index.html", ["curves.png"]),
    ):
        pass
    assert (tmp_path / name).read_text() == "mine"
    with (
        pytest.raises(DigitsError, match=r"--out takes a folder .*, got the file"),
        report_folder(tmp_path / name, "index.html", []),
    ):
        pass
    with (
        pytest.raises(DigitsError, match=r"cannot write to .*; try --out FOLDER"),
        report_folder(tmp_path / name / "below", "index.html", []),
    ):
        pass


def test_a_report_that_was_interrupted_can_be_written_again(tmp_path: Path) -> None:
    for _ in range(2):
        with suppress(KeyboardInterrupt), report_folder(tmp_path, "index.html", ["curves.png"]):
            (tmp_path / "curves.png").touch()
            raise KeyboardInterrupt
