"""model.pt: write, check, load."""

from pathlib import Path
from typing import Any

from digits.artifact import TrainedClassifier, load, save_model, write_model
from digits.recorded import ENSEMBLE, read_saved, rebuild, results_folder, run_directory, saved_file

__all__ = [
    "ENSEMBLE",
    "TrainedClassifier",
    "from_content",
    "load",
    "model_path",
    "read_model",
    "results_folder",
    "run_directory",
    "save_model",
    "write_model",
]
model_path = saved_file
read_model = read_saved


def from_content(path: Path, content: dict[str, Any]) -> TrainedClassifier:
    """Return what `load` does, of the content of a model.pt that need not exist."""
    normalization = content["normalization"]
    record = {key: value for key, value in content.items() if key != "weights"}
    network = rebuild(path, content).network
    return TrainedClassifier(network, normalization["mean"], normalization["std"], record).eval()
