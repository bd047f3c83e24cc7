"""Files written whole or not at all, and the names of files and values."""

import stat
from pathlib import Path

import pytest

from digits.files import (
    MAX_NAME_LENGTH,
    flat,
    relative,
    remove_parts,
    slug,
    whole_file,
    write_atomically,
)


def test_bytes_and_text_arrive_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.bin", b"\0\n\r\xff" * 1_000)
    write_atomically(tmp_path / "b.txt", "97 ± 1\n")
    assert (tmp_path / "a.bin").read_bytes() == b"\0\n\r\xff" * 1_000
    assert (tmp_path / "b.txt").read_bytes() == "97 ± 1\n".encode()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "b.txt"]
    assert stat.S_IMODE((tmp_path / "a.bin").stat().st_mode) == 0o644  # everybody may read it


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_the_old_file_stays_until_the_new_one_is_whole(
    error: BaseException, tmp_path: Path
) -> None:
    path = tmp_path / "metrics.json"
    path.write_text("old")

    def write() -> None:
        with whole_file(path) as temporary:
            temporary.write_text("half")
            assert path.read_text() == "old"
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_half_written_can_be_removed(tmp_path: Path) -> None:
    with whole_file(tmp_path / "model.pt") as temporary:
        name = temporary.name
    (tmp_path / name).write_text("half")
    (tmp_path / ".thesis.part-1").write_text("mine")
    remove_parts(tmp_path / "model.pt", tmp_path / "missing" / "last.ckpt")
    assert {path.name for path in tmp_path.iterdir()} == {"model.pt", ".thesis.part-1"}


def test_a_path_is_relative_to_the_working_directory_if_it_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert relative(tmp_path / "here" / "runs" / "a") == Path("runs", "a")
    assert relative(tmp_path / "there") == tmp_path / "there"


def test_names_keep_what_file_systems_allow_and_long_ones_stay_different() -> None:
    assert slug("optim=sgd/lr: [0.1, 0.2]") == "optim-sgd-lr-0.1,-0.2"
    long = [slug("x" * 300 + end) for end in "ab"]
    assert long[0] != long[1] and all(len(name) == MAX_NAME_LENGTH for name in long)


def test_nested_values_come_under_dotted_keys() -> None:
    nested = {"optim": {"lr": 0.1, "betas": [0.9, 0.99]}, "seed": None, "empty": {}}
    assert dict(flat(nested)) == {"optim.lr": 0.1, "optim.betas": [0.9, 0.99], "seed": None}
