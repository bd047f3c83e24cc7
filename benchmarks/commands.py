"""Whole commands as a user types them: start-up, the verbs, and training beside other work."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback

from digits.data.datasets import MNIST, default_folder, read
from digits.figures import digit_grid, save_figure
from digits.run_directory import read_history

REPOSITORY = Path(__file__).parents[1]
TRAIN, DIGITS = str(REPOSITORY / "train.py"), ("-m", "digits")
IMPORT_TORCH = "import torch"
"""The yardstick: what every program that uses torch pays."""
OPENMP_SPIN_COUNT = "300000"
"""What GNU's OpenMP does where nobody says otherwise."""
NUM_BUSY = 2
"""Other processes that compute without a pause."""
BESIDE = {
    "baseline": ("model=baseline", "data.train_size=20000"),
    "dropout": ("model=dropout", "data.batch_size=128", "data.train_size=20000"),
    "cnn": ("model=cnn", "data.train_size=5000"),
}
"""What is trained beside other work, for two epochs, of which the second is measured."""


def python(*arguments: str, **variables: str) -> float:
    """Return the seconds that a Python process takes, from its start to its end.

    Raises:
        RuntimeError: the process ends with an exit code above 1; a refused command line has 1.
    """
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    seconds = time.perf_counter() - start
    if done.returncode > 1 or "Traceback" in done.stderr:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr}")
    return seconds


class FirstStep(Callback):
    """Write the time of the optimizer's first step, in seconds since 1970, to a file."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def on_before_optimizer_step(self, *_: Any) -> None:
        if not self.file.exists():
            self.file.write_text(str(time.time()))


def start_up(num_rounds: int) -> dict[str, list[float]]:
    """Measure what a default run does besides training, in turn with the yardstick.

    "first step" is from the start of the process to the first step of the optimizer; "besides its
    epochs" is the whole command without the seconds that its epochs take.
    """
    times: dict[str, list[float]] = {}
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    for _ in range(num_rounds):
        with tempfile.TemporaryDirectory() as folder:
            times.setdefault(IMPORT_TORCH, []).append(python("-c", IMPORT_TORCH))
            mark, run_dir, begun = Path(folder, "mark"), Path(folder, "run"), time.time()
            seconds = python(
                *(TRAIN, "trainer.max_epochs=2", f"hydra.run.dir={run_dir}"),
                *("+callbacks.first._target_=commands.FirstStep", f"+callbacks.first.file={mark}"),
                PYTHONPATH=path.strip(os.pathsep),
            )
            times.setdefault("train.py, first step", []).append(float(mark.read_text()) - begun)
            trained = json.loads((run_dir / "metrics.json").read_text())["train_time_s"]
            times.setdefault("train.py, besides its epochs", []).append(seconds - trained)
    return times


def verbs(num_rounds: int) -> dict[str, list[float]]:
    """Measure whole commands other than training, in turn with the yardstick."""
    with tempfile.TemporaryDirectory() as folder:
        run_dir, picture = f"{folder}/run", Path(folder, "picture.png")
        python(TRAIN, "trainer.max_epochs=1", f"hydra.run.dir={run_dir}")
        save_figure(digit_grid(read(default_folder(), "test", MNIST).images[:1]), picture)
        out = ("--out", f"{folder}/out")
        libraries = f"{IMPORT_TORCH}, onnx, onnxruntime, onnxscript"
        commands: dict[str, Sequence[str]] = {
            IMPORT_TORCH: ("-c", IMPORT_TORCH),
            "digits predict, one picture": (*DIGITS, "predict", run_dir, str(picture)),
            "digits evaluate": (*DIGITS, "evaluate", run_dir, *out),
            "digits explore": (*DIGITS, "explore", *out),
            "digits data": (*DIGITS, "data"),
            "digits compare": (*DIGITS, "compare", run_dir, *out),
            "train.py --help": (TRAIN, "--help"),
            "train.py model=dropuot": (TRAIN, "model=dropuot"),
            "digits export --to onnx": (*DIGITS, "export", run_dir, "--to", "onnx", *out),
            "(importing torch, onnx, onnxruntime, onnxscript)": ("-c", libraries),
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(num_rounds):
            for name, arguments in commands.items():
                times[name].append(python(*arguments))
    return times


@contextmanager
def busy(number: int) -> Iterator[None]:
    """Have so many other processes compute without a pause."""
    processes = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def epoch_seconds(overrides: Sequence[str], **variables: str) -> float:
    """Return the seconds of the second epoch of a training."""
    with tempfile.TemporaryDirectory() as folder:
        shortened = ("trainer.max_epochs=2", "data.val_size=1000", "test=false")
        python(TRAIN, *overrides, *shortened, f"hydra.run.dir={folder}/run", **variables)
        return read_history(Path(folder, "run"))[-1]["time_s"]


def beside_other_work(num_rounds: int) -> dict[str, dict[str, list[float]]]:
    """Measure an epoch alone and beside busy processes, in turn.

    With the rule of `threads=auto`, and with torch's default: as many threads as there are cores,
    which wait for each other as long as OpenMP lets them by itself.
    """
    times: dict[str, dict[str, list[float]]] = {}
    default = f"threads={os.cpu_count()}"
    settings: dict[str, tuple[str, dict[str, str]]] = {
        "auto": ("threads=auto", {}),
        "torch's default": (default, {"GOMP_SPINCOUNT": OPENMP_SPIN_COUNT}),
    }
    for name, overrides in BESIDE.items():
        for _ in range(num_rounds):
            for threads, (option, variables) in settings.items():
                for number in (0, NUM_BUSY):
                    with busy(number):
                        seconds = epoch_seconds([*overrides, option], **variables)
                    where = f"beside {number} busy processes" if number else "alone"
                    column = times.setdefault(f"{name}, threads {threads}", {})
                    column.setdefault(where, []).append(seconds)
    return times
