"""What a run directory may be gone on with, and how a run ends that is stopped."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from runs import REPO, train_py

from digits.errors import DigitsError
from digits.training.checkpoints import read_checkpoint

QUICK = ("data=sample", "trainer=cpu", "model.hidden=[16]", "trainer.max_epochs=1", "name=a")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run named a."""
    folder = tmp_path_factory.mktemp("here")
    assert train_py(*QUICK, cwd=folder).returncode == 0
    return folder


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("optim.lr=0.5", "optim.lr=0.001"),
        ("data.train_size=100", "data.train_size=null"),
        ("seed=3", "seed=0"),
        ("data=mnist", "data.val_size=500"),
        ("resume=never", "holds a run already"),
        ("resume=must name=b", "does not exist"),
        ("trainer.max_epochs=2 model.hidden=[8]", "model.hidden=[16]"),
        ("trainer.max_epochs=2 callbacks=ema", "callbacks.ema._target_=null"),
    ],
)
def test_other_options_are_refused_and_nothing_is_written(
    option: str, told: str, here: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*") if path.is_file()}
    finished = train_py(*QUICK, *option.split(), cwd=here)
    assert finished.returncode == 1
    (line,) = finished.stderr.splitlines()
    assert line.startswith("error: ") and told in line and "try" in line
    after = {path: path.stat().st_mtime_ns for path in here.rglob("*") if path.is_file()}
    assert after == before


def test_a_directory_in_use_and_a_flipped_byte_are_named(here: Path) -> None:
    run_dir = here / "outputs" / "runs" / "a"
    with FileLock(run_dir / ".lock"):
        finished = train_py(*QUICK, cwd=here)
    assert finished.returncode == 1
    assert "is in use by another process" in finished.stderr

    content = bytearray((run_dir / "model.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (here / "flipped.pt").write_bytes(content)
    with pytest.raises(DigitsError, match=r"flipped\.pt is no model\.pt or checkpoint, is damaged"):
        read_checkpoint(here / "flipped.pt")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_says_so_and_goes_on_later(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    options = [*QUICK[:3], "trainer.max_epochs=2000", "name=long"]
    process = subprocess.Popen(
        [sys.executable, str(REPO / "train.py"), *options],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    last = tmp_path / "outputs" / "runs" / "long" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 60
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    (line,) = stderr.splitlines()
    assert "goes on" in line
    epochs = read_checkpoint(last)["epoch"] + 1
    options[3] = f"trainer.max_epochs={epochs + 1}"
    finished = train_py(*options, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert "resumed after step" in finished.stdout
    metrics = json.loads((last.parents[1] / "metrics.json").read_text())
    assert metrics["epochs"] == epochs + 1
