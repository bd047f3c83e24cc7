import errno
import os
import re
from pathlib import Path

import pytest

from digits.__main__ import main
from digits.data.datasets import DATASETS, MNIST

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
    assert "python train.py trains and validates on the 60,000, tests on the 10,000" in screen


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
    def refuse(*_: object) -> None:  # root may read everything
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / NAMES[3]).touch()
    monkeypatch.setattr("numpy.fromfile", refuse)
    assert main(["data", "--data-dir", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "damaged" not in shown.out + shown.err
    assert "cannot be read (Permission denied)" in shown.err


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
