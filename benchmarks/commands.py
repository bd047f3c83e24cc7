"""Whole commands as a user runs them, and the parts that are not training: time and memory."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from contestants import BATCHES, SETTINGS

REPOSITORY = Path(__file__).parents[1]
IMPORTS = "import torch, pytorch_lightning"
MEASURED = """
import re, runpy, sys
report, sys.argv = sys.argv[1], sys.argv[2:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    with open("/proc/self/status") as status, open(report, "w") as file:
        file.write(re.search(r"VmHWM:\\s+(\\d+)", status.read())[1])
"""
"""Runs a script and reports its peak resident memory in kB; what the operating system says of a
finished process counts the memory of the process that started it, too."""


def _run(folder: str, *arguments: str) -> tuple[float, float]:
    """Return the seconds that a script takes, and its peak resident memory in MB."""
    report = Path(folder) / "memory"
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", MEASURED, report, *arguments], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - start, int(report.read_text()) / 1024


def whole_commands(num_epochs: int, num_rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Measure the imports that nobody can do without, and the whole command, in turn."""
    results: dict[str, list[tuple[float, float]]] = {"imports": [], "train.py": []}
    with tempfile.TemporaryDirectory() as folder:
        imports = Path(folder) / "imports.py"
        imports.write_text(IMPORTS)
        for number in range(num_rounds):
            results["imports"].append(_run(folder, str(imports)))
            train = [str(REPOSITORY / "train.py"), f"trainer.max_epochs={num_epochs}"]
            results["train.py"].append(_run(folder, *train, f"hydra.run.dir={folder}/{number}"))
    return results


def data_paths(num_rounds: int) -> dict[str, list[float]]:
    """Measure the seconds of an epoch of batches without any training, in turn."""
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
