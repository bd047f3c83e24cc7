import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests
from mirror_server import Mirrors
from small_mnist import SmallMnist

from digits import files as atomic
from digits.data import fetch
from digits.data.download import Limits
from digits.data.fetch import fetch as fetch_file
from digits.data.files import DataFile
from digits.errors import DigitsError

LOCK = ".digits.lock"


@pytest.fixture
def file(small: SmallMnist) -> DataFile:
    return small.train_images


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != LOCK}


def wanted(small: SmallMnist, file: DataFile) -> dict[str, bytes]:
    return {name: {**small.packed, **small.unpacked}[name] for name in (file.name, file.gz_name)}


def refuse(file: DataFile, folder: Path, mirrors: Sequence[str], limits: Limits) -> str:
    """The message of a fetch that fails, having left no data behind."""
    with pytest.raises(DigitsError) as caught:
        fetch_file(file, folder, mirrors, limits)
    assert set(contents(folder)) <= {".digits.failure"}
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_downloaded_and_unpacked_beside_itself(
    small: SmallMnist, file: DataFile, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "folder"
    fetch_file(file, folder, mirrors("good"), limits)
    assert contents(folder) == wanted(small, file)
    assert {(folder / name).stat().st_mode & 0o777 for name in contents(folder)} == {0o644}


def test_a_good_file_is_not_downloaded_again(
    file: DataFile, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    for _ in range(2):
        fetch_file(file, tmp_path, mirrors("good"), limits)
    assert mirrors.requests == {"good": 1}


def test_a_good_gz_is_unpacked_without_a_download(
    small: SmallMnist, file: DataFile, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    (tmp_path / file.gz_name).write_bytes(small.packed[file.gz_name])
    fetch_file(file, tmp_path, mirrors("403"), limits)
    assert contents(tmp_path) == wanted(small, file)
    assert not mirrors.requests


@pytest.mark.parametrize(
    ("behaviour", "reason", "num_tries"),
    [
        ("403", "answers 403", 1),
        ("503", "answers 503", 2),
        ("hang", "sends nothing for 0.6 s", 1),
        ("drip", "is not done after 1.5 s", 1),
        ("drip-headers", "is not done after 1.5 s", 1),
        ("flood", "sends more than", 2),
        ("html", "sends text/html in place of the file", 1),
        ("cut", "cuts the connection", 2),
        ("wrong", "sends another file", 2),
        ("to-http", "redirects to http://localhost", 1),
        ("to-itself", "redirects more than 5 times", 6),
    ],
)
def test_the_next_mirror_takes_over(
    behaviour: str,
    reason: str,
    num_tries: int,
    small: SmallMnist,
    file: DataFile,
    mirrors: Mirrors,
    limits: Limits,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    fetch_file(file, tmp_path, mirrors(behaviour, "good"), limits)
    assert contents(tmp_path) == wanted(small, file)
    assert f"{file.gz_name}: {mirrors(behaviour)[0]} {reason}" in caplog.text
    assert mirrors.requests == {behaviour: num_tries, "good": 1}


@pytest.mark.parametrize("behaviour", ["503", "flood", "html", "cut", "wrong", "to-http"])
def test_a_failure_leaves_nothing_half_written(
    behaviour: str, file: DataFile, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    refuse(file, tmp_path, mirrors(behaviour), limits)


def test_a_redirect_to_https_is_followed(
    small: SmallMnist, file: DataFile, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    fetch_file(file, tmp_path, mirrors("to-https"), limits)
    assert contents(tmp_path) == wanted(small, file)


def test_an_address_may_lack_its_last_slash(
    small: SmallMnist, file: DataFile, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    fetch_file(file, tmp_path, [mirrors("good")[0].rstrip("/")], limits)
    assert contents(tmp_path) == wanted(small, file)


def test_http_is_never_asked(
    file: DataFile, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    message = refuse(file, tmp_path, ["http://localhost:9/"], limits)
    assert "http://localhost:9/train-images-idx3-ubyte.gz, which is not https" in message


def test_a_server_with_a_certificate_of_its_own_is_refused(
    file: DataFile,
    mirrors: Mirrors,
    limits: Limits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert "certificate verify failed" in refuse(file, tmp_path, mirrors("good"), limits)
    assert not mirrors.requests


def test_a_host_that_does_not_answer_is_named_with_its_reason(
    file: DataFile, limits: Limits, tmp_path: Path
) -> None:
    message = refuse(file, tmp_path, ["https://localhost:1/"], limits)
    assert "localhost: Connection refused" in message


def test_a_proxy_that_fails_is_told_from_a_mirror_that_fails(
    file: DataFile, limits: Limits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@localhost:1")
    message = refuse(file, tmp_path, ["https://mirror.invalid/"], limits)
    assert "mirror.invalid: cannot be reached through the proxy" in message
    assert "secret" not in message


def test_total_failure_lists_what_was_tried_and_the_remedies(
    file: DataFile, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    message = refuse(file, tmp_path, mirrors("403", "html"), limits)
    assert "answers 403 Forbidden; localhost: sends text/html" in message
    for remedy in ("HTTPS_PROXY", "data.dir=", "DIGITS_DATA", "data=sample"):
        assert remedy in message


def test_bad_mirrors_fail_in_bounded_time(
    file: DataFile, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    start = time.monotonic()
    refuse(file, tmp_path, mirrors("hang", "drip", "drip-headers"), limits)
    assert time.monotonic() - start < 3 * limits.try_s + 5


def test_the_mirror_that_worked_comes_first_and_slow_ones_no_more(
    file: DataFile, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    hang, forbidden, good, other = mirrors("hang", "403", "good", "slow")
    left = fetch_file(file, tmp_path, [hang, forbidden, good, other], limits)
    assert left == (good, forbidden, other)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_file_is_replaced(
    damage: str, small: SmallMnist, file: DataFile, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    for name, content in wanted(small, file).items():
        damaged = content[:-5] if damage == "cut" else bytes([content[0] ^ 1]) + content[1:]
        (tmp_path / name).write_bytes(damaged)
    fetch_file(file, tmp_path, mirrors("good"), limits)
    assert contents(tmp_path) == wanted(small, file)


def test_what_a_killed_process_left_is_removed(
    small: SmallMnist, file: DataFile, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    (tmp_path / ".digits.partial").mkdir()
    (tmp_path / ".digits.partial" / "tmp1234").write_bytes(b"half")
    fetch_file(file, tmp_path, mirrors("good"), limits)
    assert contents(tmp_path) == wanted(small, file)


# Without the data module of digits.data, whose Lightning takes seconds to import.
IMPORT_LIGHTLY = f"""
import sys, types
package = sys.modules["digits.data"] = types.ModuleType("digits.data")
package.__path__ = [{str(Path(fetch.__file__).parent)!r}]
"""

EIGHT_PROCESSES = """
import json, os, sys
from pathlib import Path
from digits.data.download import Limits
from digits.data.fetch import fetch
from digits.data.files import DataFile
from digits.errors import DigitsError
import filelock, pooch, requests

file, limits = DataFile(**json.loads(sys.argv[3])), Limits(**json.loads(sys.argv[4]))
go, wait = os.pipe()[::-1]
children = []
for _ in range(8):
    if not (child := os.fork()):
        os.close(go)
        os.read(wait, 1)
        try:
            fetch(file, Path(sys.argv[1]), [sys.argv[2]], limits)
        except DigitsError:
            os._exit(3)
        os._exit(0)
    children.append(child)
os.close(go)
print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def eight_processes(file: DataFile, folder: Path, mirror: str, limits: Limits) -> list[int]:
    """Exit statuses of eight processes that fetch one file at once: 0, or 3 for a DigitsError."""
    arguments = (str(folder), mirror, json.dumps(vars(file)), json.dumps(vars(limits)))
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_LIGHTLY + EIGHT_PROCESSES, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return [int(status) for status in result.stdout.split()]


def test_eight_processes_at_once_make_one_download(
    small: SmallMnist, file: DataFile, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    assert eight_processes(file, tmp_path, mirrors("slow")[0], limits) == [0] * 8
    assert mirrors.requests == {"slow": 1}
    assert contents(tmp_path) == wanted(small, file)


def test_eight_processes_wait_for_one_failure(
    file: DataFile, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    assert eight_processes(file, tmp_path, mirrors("hang")[0], limits) == [3] * 8
    assert mirrors.requests == {"hang": 1}


def test_an_earlier_failure_is_not_remembered(
    small: SmallMnist, file: DataFile, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    refuse(file, tmp_path, mirrors("403"), limits)
    fetch_file(file, tmp_path, mirrors("good"), limits)
    assert contents(tmp_path) == wanted(small, file)


def test_waiting_for_another_process_ends(file: DataFile, mirrors: Mirrors, tmp_path: Path) -> None:
    import filelock

    with filelock.FileLock(tmp_path / LOCK):
        message = ""

        def other() -> None:
            nonlocal message
            message = refuse(file, tmp_path, mirrors("good"), Limits(lock_s=0.1))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert "another process has been downloading" in message


@pytest.mark.parametrize("module", [fetch, atomic])
def test_a_full_disk_is_told_and_leaves_nothing(
    module: ModuleType,
    small: SmallMnist,
    file: DataFile,
    mirrors: Mirrors,
    limits: Limits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class FullDisk:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def fsync(self, descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "os", FullDisk())
    with pytest.raises(DigitsError, match=f"disk full while writing to {tmp_path}"):
        fetch_file(file, tmp_path, mirrors("good"), limits)
    # The .gz is whole before the unpacked file is begun.
    assert set(contents(tmp_path)) <= {file.gz_name}
    assert module is fetch or contents(tmp_path)[file.gz_name] == small.packed[file.gz_name]


def test_a_folder_that_cannot_be_written_to_is_named(
    file: DataFile, mirrors: Mirrors, limits: Limits, tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(DigitsError, match=r"cannot write to .*data/MNIST/raw .*data\.dir="):
        fetch_file(file, tmp_path / "data" / "MNIST" / "raw", mirrors("good"), limits)
    assert not mirrors.requests


def test_one_line_on_stderr_tells_of_a_download(
    file: DataFile,
    mirrors: Mirrors,
    limits: Limits,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fetch_file(file, tmp_path, mirrors("good"), limits)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "downloading train-images-idx3-ubyte.gz from localhost\n"


def test_a_bar_on_a_terminal_tells_of_a_download(
    file: DataFile,
    mirrors: Mirrors,
    limits: Limits,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fetch_file(file, tmp_path, mirrors("good"), limits)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "train-images-idx3-ubyte.gz from localhost" in captured.err


def test_the_real_files_are_fetched(
    real_data: Path,
    small: SmallMnist,
    mirrors: Mirrors,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from digits.data.files import FILES

    gzipped = [path for path in (real_data, real_data / "MNIST/raw") if list(path.glob("*.gz"))]
    if not gzipped:
        pytest.skip(f"{real_data} holds no .gz files to serve")
    for part in FILES.values():
        for file in (part.images, part.labels):
            content = Path(gzipped[0], file.gz_name).read_bytes()
            monkeypatch.setitem(small.packed, file.gz_name, content)
            fetch_file(file, tmp_path, mirrors("good"))
    shutil.rmtree(tmp_path)


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = """
import digits.data.mnist
loaded = {"pooch", "requests", "rich", "filelock", "pytorch_lightning", "hydra"} & set(sys.modules)
sys.exit(" ".join(loaded) or 0)
"""
    subprocess.run([sys.executable, "-c", IMPORT_LIGHTLY + code], check=True)


def test_requests_itself_would_follow_a_redirect_to_http(mirrors: Mirrors) -> None:
    # Why redirects are followed by hand: the tests above would pass for no reason otherwise.
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{mirrors('to-http')[0]}train-images-idx3-ubyte.gz", timeout=5)
