"""Whole commands as a user runs them, and the parts that are not training: time and memory."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from contestants import BATCHES, SETTINGS

REPOSITORY = Path(__file__).parents[1]
IMPORTS = "import torch, pytorch_lightning"


def _run(*arguments: str) -> tuple[float, float]:
    """Returns the seconds that a Python process takes, and its peak resident memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments)} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def whole_commands(num_epochs: int, num_rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Measures the imports that nobody can do without, and the whole command, in turn."""
    results: dict[str, list[tuple[float, float]]] = {"imports": [], "train.py": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(num_rounds):
            results["imports"].append(_run("-c", IMPORTS))
            train = [str(REPOSITORY / "train.py"), f"trainer.max_epochs={num_epochs}"]
            results["train.py"].append(_run(*train, f"hydra.run.dir={folder}/{number}"))
    return results


def data_paths(num_rounds: int) -> dict[str, list[float]]:
    """Measures the seconds of an epoch of batches without any training, in turn."""
    setting = SETTINGS["baseline"]
    times: dict[str, list[float]] = {name: [] for name in BATCHES}
    sources = {name: make(setting) for name, make in BATCHES.items()}
    for _ in range(num_rounds):
        for name, batches in sources.items():
            start = time.perf_counter()
            for images in batches():
                assert images.dtype == torch.float32
            times[name].append(time.perf_counter() - start)
    return times
