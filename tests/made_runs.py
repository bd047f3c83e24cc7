"""Run directories written by hand, with the answers that a test wants."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

LABELS = np.arange(400, dtype=np.uint8) % 10
CONFIG = {
    "seed": 0,
    "name": "made",
    "data": {"dir": "data", "val_size": 50, "source": "auto"},
    "norm": {"mean": 0.5},
    "model": {"_target_": "digits.models.BaselineClassifier", "hidden": [128, 64]},
    "optim": {"_target_": "torch.optim.Adam", "lr": 0.001},
    "trainer": {"max_epochs": 2, "profiler": None},
}
CHOICES = {"model": "baseline", "optim": "adam", "norm": "half", "experiment": None}


def make_run(
    path: Path,
    seed: int = 0,
    num_wrong: int = 40,
    val_accuracy: float | None = 0.9,
    choices: dict[str, str] | None = None,
    values: dict[str, Any] | None = None,
    labels: np.ndarray = LABELS,
    made_with: dict[str, Any] | None = None,
    **metrics: Any,
) -> Path:
    """Write a finished run that is wrong on `num_wrong` test images, drawn by its seed.

    `values` are those that its command line named, by dotted keys; `choices` change the target of
    the model or optimizer, too.
    """
    config = json.loads(json.dumps(CONFIG)) | {"seed": seed}
    for group, option in (choices or {}).items():
        config.setdefault(group, {})["_target_"] = option
    for key, value in (values or {}).items():
        group, _, name = key.rpartition(".")
        (config.setdefault(group, {}) if group else config)[name] = value
    given = (choices or {}) | (values or {}) | {"seed": seed}
    (path / ".hydra").mkdir(parents=True)
    for name, content in {
        "config": config,
        "hydra": {"hydra": {"runtime": {"choices": CHOICES | (choices or {})}}},
        "overrides": [f"{key}={value}" for key, value in given.items()],
    }.items():
        (path / ".hydra" / f"{name}.yaml").write_text(yaml.dump(content))
    set_status(path, "finished", config=config, made_with=made_with)
    (path / "model.pt").touch()

    wrong = np.random.default_rng(seed).choice(len(labels), num_wrong, replace=False)
    predicted = labels.copy()
    predicted[wrong] = (labels[wrong] + 1) % 10
    sure = np.ones(len(labels), np.float16)
    np.savez(path / "predictions.npz", labels=labels, predicted=predicted, confidence=sure)
    known = {
        **{"seed": seed, "dataset": "mnist", "epochs": 2, "best_epoch": 2},
        **{"max_epochs": config["trainer"]["max_epochs"], "num_parameters": 1000},
        **{"val/accuracy": val_accuracy, "num_val": 50, "val_split_sha256": "abc"},
        **{"test/accuracy": 1 - num_wrong / len(labels), "num_test": len(labels)},
        **{"train_time_s": 10.0 + seed},
    }
    (path / "metrics.json").write_text(json.dumps(known | metrics))
    (path / "metrics.csv").write_text(
        f"epoch,step,train/loss,val/loss\n1,10,0.9,{0.5 + seed / 10}\n2,20,0.6,{0.4 + seed / 10}\n"
    )
    return path


def set_status(path: Path, status: str, reason: str = "", **others: Any) -> None:
    """Write status.json."""
    content = {"status": status, "reason": reason} | others
    (path / "status.json").write_text(json.dumps(content))
