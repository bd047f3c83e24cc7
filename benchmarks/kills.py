"""Kill trainings at random moments, and compare what they end with to trainings left alone.

    python benchmarks/kills.py [--kills 50]

Each run trains on the embedded sample, is killed by SIGKILL again and again, and is resumed by the
same command. It survives if weights, optimizer, metrics, the table of epochs and TensorBoard's
curves and histograms are those of the uninterrupted run, bit for bit.
"""

import argparse
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

from digits.run_directory import METRICS, read_history, read_json

TRAIN = Path(__file__).parents[1] / "train.py"
COMMON = ("data=sample", "trainer=cpu", "trainer.max_epochs=30")
SETTINGS = (
    ("model=baseline", "optim=adam", "schedule=cosine"),
    ("model=dropout", "optim=sgd", "schedule=onecycle", "data.batch_size=32", "augment=elastic"),
)


def main() -> None:
    """Print one line a run, and how many kills were survived."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="in all (default: %(default)s)")
    wanted = parser.parse_args().kills
    random.seed(0)
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # tells what it purges
    killed = survived = 0
    with tempfile.TemporaryDirectory() as folder:
        for setting in SETTINGS:
            _start(Path(folder), f"alone-{setting[0][6:]}", setting).wait()
        seed = 0
        while killed < wanted:
            setting = SETTINGS[seed % len(SETTINGS)]
            number = kill_and_resume(Path(folder), f"killed-{seed}", setting, wanted - killed)
            alone = Path(folder, "outputs", "runs", f"alone-{setting[0][6:]}")
            differing = differences(alone, alone.with_name(f"killed-{seed}"))
            killed, survived = killed + number, survived + (0 if differing else number)
            verdict = f"differs in {', '.join(differing)}" if differing else "equal to the last bit"
            print(f"{' '.join(setting)}: killed {number} times, {verdict}", flush=True)
            seed += 1
    print(f"{survived} of {killed} kills survived")
    sys.exit(survived < killed)


def kill_and_resume(folder: Path, name: str, setting: tuple[str, ...], most: int) -> int:
    """Run a training to its end, killing it up to `most` times; return how often."""
    status = folder / "outputs" / "runs" / name / "status.json"
    number = 0

    def begun() -> bool:
        return status.exists() and status.stat().st_mtime_ns != before

    while True:
        before = status.stat().st_mtime_ns if status.exists() else 0
        process = _start(folder, name, setting)
        while process.poll() is None and not begun():
            time.sleep(0.01)
        if number < most:
            try:
                process.wait(timeout=random.uniform(0.0, 2.5))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                number += 1
        if process.wait() == 0:
            return number
        if process.returncode != -signal.SIGKILL:
            sys.exit(
                f"{name} could not be resumed after kill {number}: exit code {process.returncode}"
            )


def differences(run: Path, other: Path) -> list[str]:
    """Return what two finished runs differ in, times aside."""
    reads = (_weights, _optimizer, _metrics, _epochs, _curves)
    return [read.__name__[1:] for read in reads if not _equal(read(run), read(other))]


def _weights(run: Path) -> Any:
    return torch.load(run / "model.pt", weights_only=True)["weights"]


def _optimizer(run: Path) -> Any:
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return [checkpoint[key] for key in ("optimizer_states", "lr_schedulers", "state_dict")]


def _metrics(run: Path) -> Any:
    return read_json(run / METRICS) | {"train_time_s": None}


def _epochs(run: Path) -> Any:
    return [row | {"time_s": 0.0} for row in read_history(run)]


def _curves(run: Path) -> Any:
    events = EventAccumulator(str(run), size_guidance={"scalars": 0, "histograms": 0})
    events.Reload()
    tags = events.Tags()
    scalars = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags["scalars"]
    }
    histograms = {
        tag: [(event.step, list(event.histogram_value.bucket)) for event in events.Histograms(tag)]
        for tag in tags["histograms"]
    }
    return scalars | histograms


def _equal(value: Any, other: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return torch.equal(value, other)
    if isinstance(value, dict):
        return value.keys() == other.keys() and all(_equal(value[key], other[key]) for key in value)
    if isinstance(value, list | tuple):
        return len(value) == len(other) and all(map(_equal, value, other))
    return bool(value == other)


def _start(folder: Path, name: str, setting: tuple[str, ...]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, str(TRAIN), f"name={name}", *COMMON, *setting],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main()
