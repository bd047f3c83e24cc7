"""Downloading from mirrors of every kind; they are all on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torchvision.datasets
from mirror_server import Mirrors
from small_mnist import SmallMnist

from digits.data import published
from digits.data.datasets import MNIST, prepare, read
from digits.errors import DigitsError

RAW = Path("MNIST", "raw")
FIRST = "train-labels-idx1-ubyte.gz"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the time-out as short as a busy machine allows."""
    monkeypatch.setattr(published, "READ_S", 0.6)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".digits.lock"
    }


def refuse(folder: Path) -> str:
    """Return the message of a download that fails and leaves no data behind."""
    with pytest.raises(DigitsError) as caught:
        prepare(folder, "download")
    assert not contents(folder / RAW)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_is_complete(folder: Path, small: SmallMnist) -> None:
    assert contents(folder / RAW) == small.packed | small.unpacked
    assert len(read(folder, "train", MNIST).labels) == 40


@pytest.mark.parametrize("source", ["auto", "download"])
def test_missing_files_are_downloaded_once_and_unpacked(
    source: str, small: SmallMnist, mirrors: Mirrors, tmp_path: Path
) -> None:
    mirrors("good")
    for _ in range(2):
        assert prepare(tmp_path / "new", source) == MNIST
        assert_is_complete(tmp_path / "new", small)
    assert mirrors.requests == {"good": 4}
    modes = {(tmp_path / "new" / RAW / name).stat().st_mode & 0o777 for name in small.packed}
    assert modes == {0o644}


def test_files_that_are_there_are_not_downloaded(
    small: SmallMnist, mirrors: Mirrors, tmp_path: Path
) -> None:
    mirrors("good")
    name = f"{small.train_images.name}.gz"
    (tmp_path / name).write_bytes(small.packed[name])
    prepare(tmp_path, "download")
    assert mirrors.requests == {"good": 3}
    assert name not in contents(tmp_path / RAW)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("403", "403 Forbidden"),
        ("html", "it sends something else"),
        ("cut", "ChunkedEncodingError"),
        ("to-http", "it sends something else"),
        ("hang", "ReadTimeout"),
    ],
)
def test_a_failing_mirror_is_explained_and_leaves_nothing_half_written(
    behaviour: str, reason: str, small: SmallMnist, mirrors: Mirrors, tmp_path: Path
) -> None:
    mirrors(behaviour)
    message = refuse(tmp_path)
    assert f"cannot download {FIRST} (localhost: {reason}" in message
    for remedy in ("HTTPS_PROXY", "data.dir=", "DIGITS_DATA"):
        assert remedy in message
    assert mirrors.requests == {behaviour: 1}

    mirrors.requests.clear()
    mirrors(behaviour, "good")
    prepare(tmp_path, "download")
    assert_is_complete(tmp_path, small)
    assert mirrors.requests == {behaviour: 1, "good": 4}  # the failing one is asked only once


def test_total_failure_names_every_mirror(mirrors: Mirrors, tmp_path: Path) -> None:
    mirrors("403", "html")
    assert "(localhost: 403 Forbidden; localhost: it sends something else" in refuse(tmp_path)


def test_http_is_never_asked(
    mirrors: Mirrors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"http://localhost:{mirrors.port}/good/"
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [address])
    assert "localhost" not in refuse(tmp_path)


def test_a_good_copy_of_a_damaged_file_goes_to_the_cache_folder_once(
    small: SmallMnist,
    mirrors: Mirrors,
    tmp_path: Path,
    cache: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mirrors("good")
    folder = tmp_path / "data"
    small.write(folder, gzipped=True)
    damaged = folder / f"{small.train_images.name}.gz"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    before = contents(folder)
    for _ in range(2):
        assert prepare(folder, "auto") == MNIST
        assert f"{damaged} is damaged" in caplog.text
        assert str(cache) in caplog.text
    assert (
        read(folder, "train", MNIST).images.numpy().tobytes()
        == (small.unpacked[small.train_images.name][16:])
    )
    assert contents(folder) == before
    assert set(contents(cache / RAW)) == {damaged.name, damaged.stem}
    assert mirrors.requests == {"good": 1}
    with pytest.raises(DigitsError, match="is damaged"):  # whose files alone were asked for
        prepare(folder, "local")


def test_a_damaged_file_without_a_good_copy_to_be_had_ends_the_run(
    small: SmallMnist,
    mirrors: Mirrors,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mirrors("403")
    small.write(tmp_path, gzipped=True)
    damaged = tmp_path / f"{small.train_images.name}.gz"
    damaged.write_bytes(b"")
    with pytest.raises(DigitsError, match=rf"{damaged} is damaged.*403.*; move it away, or try"):
        prepare(tmp_path, "auto")
    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # a user without a home
    with pytest.raises(DigitsError, match=rf"{damaged} is damaged.*; move it away, or try"):
        prepare(tmp_path, "auto")
    assert not list(Path.cwd().glob("~"))


EIGHT_PROCESSES = """
import os, sys
import torchvision.datasets
from small_mnist import small_mnist
from digits.data import datasets
from digits.errors import DigitsError

datasets.DATASETS[datasets.MNIST] = small_mnist().dataset
torchvision.datasets.MNIST.mirrors = [sys.argv[2]]
go, wait = os.pipe()[::-1]
children = []
for _ in range(8):
    if not (child := os.fork()):
        os.close(go)
        os.read(wait, 1)
        try:
            datasets.prepare(sys.argv[1], "download")
        except DigitsError:
            os._exit(3)
        os._exit(0)
    children.append(child)
os.close(go)
print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


@pytest.mark.slow
def test_eight_processes_at_once_make_one_download(
    small: SmallMnist, mirrors: Mirrors, tmp_path: Path
) -> None:
    address = f"https://localhost:{mirrors.port}/slow/"
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EIGHT_PROCESSES, str(tmp_path), address],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
    )
    assert result.stdout.split() == ["0"] * 8, result.stderr
    assert mirrors.requests == {"slow": 4}
    assert_is_complete(tmp_path, small)


def test_a_folder_that_cannot_be_written_to_is_named(
    small: SmallMnist, mirrors: Mirrors, tmp_path: Path
) -> None:
    mirrors("good")
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(DigitsError, match=r"cannot write to .*data .*data\.dir="):
        prepare(tmp_path / "data", "download")
    assert not mirrors.requests
