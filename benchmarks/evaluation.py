"""What is not training: files read into memory, batches made of them, 10,000 images classified."""

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from contestants import BATCHES, SETTINGS, composed, data_module, torchvision_loader
from pytorch_lightning import Trainer
from torch import Tensor, nn

from digits.data.datasets import read
from digits.data.split import normalize
from digits.model_file import TrainedClassifier
from digits.training.build import make_model

BARE = "bare network, one batch"


def evaluations(num_rounds: int) -> dict[str, list[float]]:
    """Measure the seconds that the test images take, in turn; the first round warms up.

    The images are classified by the bare network, by what `digits.load` returns (bytes go in), by
    Lightning's test of this project with its metrics, and from torchvision's loader.
    """
    data = data_module()
    data.setup("test")
    assert data.test is not None
    images, labels = data.test.images, data.test.labels
    floats = normalize(images, 0.5, 0.5)
    setting = SETTINGS["dropout"]
    model = make_model(composed(setting.overrides), 0)
    network = model.network.eval()
    loaded = TrainedClassifier(network, 0.5, 0.5, {"classes": "0123456789"}).eval()
    quiet: Any = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(accelerator="cpu", enable_checkpointing=False, **quiet)
    slow = torchvision_loader(setting, 0, images, labels)
    ways: dict[str, Callable[[], Any]] = {
        BARE: lambda: _measure(network, floats, labels),
        "digits.load(RUN)": lambda: _measure(loaded, images, labels),
        "digits, with metrics": lambda: trainer.test(model, data, verbose=False),
        "torchvision, 0 workers": lambda: [_measure(network, *batch) for batch in slow],
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(num_rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
    return times


@torch.inference_mode()
def _measure(network: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    logits = network(images)
    correct = (logits.argmax(dim=1) == labels).float().mean()
    return float(F.cross_entropy(logits, labels)), float(correct)


def reading_times(num_rounds: int) -> list[float]:
    """Measure the seconds from the files to 70,000 images in memory, checks included."""
    data = data_module()
    times = []
    for _ in range(num_rounds):
        start = time.perf_counter()
        for part in ("train", "test"):
            read(data.dir, part, data.dataset)
        times.append(time.perf_counter() - start)
    return times


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
