import stat
from pathlib import Path

import pytest

from digits.files import whole_file, write_atomically


def test_bytes_arrive_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.bin", b"\0\n\r\xff" * 1_000)
    assert (tmp_path / "a.bin").read_bytes() == b"\0\n\r\xff" * 1_000
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_the_old_file_stays_until_the_block_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text("old")
    with whole_file(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "old"
        temporary.write_text("new")
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left"), KeyboardInterrupt(), SystemExit(1)]
)
def test_after_any_failure_the_old_file_stays_and_no_temporary(
    error: BaseException, tmp_path: Path
) -> None:
    path = tmp_path / "metrics.json"
    path.write_text("old")

    def write() -> None:
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_no_file_where_there_was_none(tmp_path: Path) -> None:
    def write() -> None:
        with whole_file(tmp_path / "model.pt") as temporary:
            temporary.write_text("half")
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        write()
    assert not list(tmp_path.iterdir())


def test_a_reader_who_has_the_old_file_open_keeps_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_text("old " * 100_000)
    with path.open() as reader:
        start = reader.read(10)
        write_atomically(path, b"new")
        assert start + reader.read() == "old " * 100_000


def test_everybody_may_read_the_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "model.pt", b"")
    assert stat.S_IMODE((tmp_path / "model.pt").stat().st_mode) == 0o644


def test_the_temporary_file_keeps_the_suffix_by_which_a_format_is_chosen(tmp_path: Path) -> None:
    with whole_file(tmp_path / "loss_curves.png") as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "none" / "a.bin", b"")
