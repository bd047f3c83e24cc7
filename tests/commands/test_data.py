import os
import re
from pathlib import Path

import pytest

from digits.__main__ import main
from digits.data.files import FILES

NAMES = [file.name for part in FILES.values() for file in (part.images, part.labels)]


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that is not there, and a cache folder of the test's own."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("DIGITS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")


def test_good_files_are_listed_with_what_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    folder = os.environ.get("DIGITS_DATA")
    if not folder:
        pytest.skip("the environment variable DIGITS_DATA names no folder with the MNIST files")
    assert main(["data", "--source", "local"]) == 0
    screen = capsys.readouterr().out
    for name in NAMES:
        assert name in screen
    assert screen.count(" good ") == 4
    assert "(60000, 28, 28)" in screen
    assert "python train.py trains and validates on the 60,000, tests with the 10,000" in screen


def test_files_that_are_not_there_are_an_error_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "--data-dir", str(tmp_path / "none"), "--source", "local"]) == 1
    told = capsys.readouterr()
    assert told.out.count("not found") == 4
    assert re.fullmatch(
        r"error: .*none lacks .*--data-dir FOLDER .*--source download.*\n", told.err
    )


def test_a_damaged_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / f"{NAMES[3]}.gz").write_bytes(b"damaged")
    assert main(["data", "--data-dir", str(tmp_path), "--source", "local"]) == 1
    told = capsys.readouterr()
    assert re.search(rf"{NAMES[3]} .* damaged ", told.out)
    assert f"{NAMES[3]}.gz is damaged" in told.err


def test_a_download_that_fails_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "--data-dir", str(tmp_path), "--source", "download"]) == 1
    assert "error: cannot download" in capsys.readouterr().err


def test_who_asks_for_mnist_and_can_have_its_sample_only_is_told_loudly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["data", "--data-dir", str(tmp_path)]) == 1
    assert "THIS IS NOT FULL MNIST" in caplog.text
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: MNIST could not be had")


def test_who_asks_for_the_sample_gets_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "--data-dir", str(tmp_path / "none"), "--source", "sample"]) == 0
    screen = capsys.readouterr().out
    assert "(5000, 28, 28)" in screen
    assert "not MNIST" in screen
    assert not (tmp_path / "none").exists()
