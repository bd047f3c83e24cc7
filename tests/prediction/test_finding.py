from pathlib import Path

import pytest

from digits.prediction.finding import find


def found(*arguments: Path | str) -> list[str]:
    return [file for file, error in find([str(each) for each in arguments]) if error is None]


def errors(*arguments: Path | str) -> list[str]:
    return [f"{file}: {error}" for file, error in find([str(each) for each in arguments]) if error]


def touch(folder: Path, *names: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return [str(folder / name) for name in names]


def test_files_stay_in_the_order_in_which_they_are_given(tmp_path: Path) -> None:
    files = touch(tmp_path, "b.png", "a.txt", "c.jpg")
    assert found(*files) == files


def test_a_folder_means_its_pictures_in_sorted_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.PNG", "a.jpeg", "notes.txt", ".hidden.png", "c.tif")
    (tmp_path / "folder.png").mkdir()
    assert found(tmp_path) == [str(tmp_path / name) for name in ("a.jpeg", "b.PNG", "c.tif")]


def test_a_pattern_that_the_shell_left_is_expanded(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a.png", "c.jpg")
    assert found(tmp_path / "*.png") == [str(tmp_path / name) for name in ("a.png", "b.png")]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    files = touch(tmp_path, "photo [1].png", "photo 1.png")
    assert found(files[0]) == files[:1]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("none.png", "there is no such file"),
        ("*.gif", "no file matches"),
        ("empty", "no pictures in this folder"),
        ("x" * 5000, "cannot be looked at"),
        ("a\0b", ""),
    ],
)
def test_what_means_no_file_is_told_and_the_others_are_found(
    argument: str, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    file = touch(tmp_path, "a.png")[0]
    assert found(tmp_path / argument, file) == [file]
    (error,) = errors(tmp_path / argument, file)
    assert error.startswith(str(tmp_path / argument))
    assert expected in error
    assert "\n" not in error
