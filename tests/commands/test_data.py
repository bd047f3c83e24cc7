import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from made_runs import make_run

from digits.__main__ import main
from digits.commands import data_dir_of
from digits.data.datasets import DATASETS, MNIST, default_folder

NAMES = [file.name for file in DATASETS[MNIST]]


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a proxy that does not exist, and an empty cache folder."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_good_files_are_listed_with_what_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    folder = os.environ.get("DIGITS_DATA")
    if not folder:
        pytest.skip("the environment variable DIGITS_DATA names no folder with the MNIST files")
    assert main(["data", "--source", "local"]) == 0
    screen = capsys.readouterr().out
    for name in NAMES:
        assert name in screen
    assert screen.count(" good ") == 4
    assert " trains and validates on the 60,000, tests on the 10,000" in screen


def test_missing_files_are_an_error_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "--data-dir", str(tmp_path / "none"), "--source", "local"]) == 1
    shown = capsys.readouterr()
    assert shown.out.count("not found") == 4
    assert re.fullmatch(
        r"error: .*none lacks .*--data-dir=FOLDER .*--source=download.*\n", shown.err
    )


def test_a_damaged_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / f"{NAMES[3]}.gz").write_bytes(b"damaged")
    assert main(["data", "--data-dir", str(tmp_path), "--source", "local"]) == 1
    shown = capsys.readouterr()
    assert re.search(rf"{NAMES[3]}\.gz .* 7 .* damaged ", shown.out)
    assert f"{NAMES[3]}.gz is damaged" in shown.err


def test_a_file_that_may_not_be_read_is_not_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object) -> None:  # root may read everything
        raise PermissionError(errno.EACCES, "Permission denied", path)

    (tmp_path / NAMES[3]).touch()
    monkeypatch.setattr("numpy.fromfile", refuse)
    assert main(["data", "--data-dir", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "damaged" not in shown.out + shown.err
    assert shown.err == f"error: {tmp_path / NAMES[3]}: Permission denied\n"


def test_getting_the_sample_instead_of_mnist_is_an_error_and_a_loud_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["data", "--data-dir", str(tmp_path)]) == 1
    assert "THIS IS NOT FULL MNIST" in caplog.text
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: MNIST is not available")


def test_the_sample_is_shown_when_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "--data-dir", str(tmp_path / "none"), "--source", "sample"]) == 0
    screen = capsys.readouterr().out
    assert "5,000 images" in screen and "not MNIST" in screen
    assert not (tmp_path / "none").exists()


def test_a_terminal_that_is_not_utf_8_and_a_user_without_a_home_get_their_answer(
    tmp_path: Path,
) -> None:
    make_run(tmp_path / "a", 0)
    make_run(tmp_path / "b", 1)
    left = {key: value for key, value in os.environ.items() if key not in ("HOME", "LANG")}
    code = "import pwd; pwd.getpwuid = {}.__getitem__; from digits.__main__ import command; "
    result = subprocess.run(
        [sys.executable, "-c", f"{code}command()", "compare", str(tmp_path)],
        env=left | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        cwd=tmp_path,
        capture_output=True,
    )
    assert result.returncode == 0, result.stderr
    assert b"90.00% ? " in result.stdout


def test_a_run_is_measured_on_the_data_that_it_found(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "a", values={"data.dir": str(tmp_path / "gone")})
    assert data_dir_of(run_dir, None) == default_folder()
    assert data_dir_of(run_dir, tmp_path) == tmp_path
    if not os.environ.get("DIGITS_DATA"):
        pytest.skip("the environment variable DIGITS_DATA names no folder with the MNIST files")
    (tmp_path / "there").symlink_to(default_folder().absolute())
    run_dir = make_run(tmp_path / "b", values={"data.dir": str(tmp_path / "there")})
    assert data_dir_of(run_dir, None) == tmp_path / "there"
