"""Processes: they end at once and lose nothing, and leave what the user has set."""

import os
import subprocess
import sys

import pytest

from digits.process import SPIN_COUNT, begin

PROGRAM = """
import atexit, sys
from digits.process import quick_end
atexit.register(print, "an exit handler registered before")
with quick_end():
    atexit.register(print, "and one after")
    print("output" * 10_000)
    {ending}
"""


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("pass", 0),
        ("sys.exit()", 0),
        ("sys.exit(143)", 143),
        ("sys.exit('a message')", 1),
        ("raise ValueError", 1),
    ],
)
def test_a_process_ends_with_its_exit_code_and_all_its_output(ending: str, code: int) -> None:
    program = PROGRAM.format(ending=ending)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == code
    assert done.stdout.count("output") == 10_000
    assert "an exit handler registered before" in done.stdout
    assert "and one after" in done.stdout
    assert ("a message" in done.stderr) == ("a message" in ending)


def test_how_long_threads_wait_is_the_users_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gc.set_threshold", lambda *_: None)
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    begin()
    assert os.environ["GOMP_SPINCOUNT"] == str(SPIN_COUNT)
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    begin()
    assert "GOMP_SPINCOUNT" not in os.environ
