"""`python train.py` in a process of its own: the files, the figures and the words of a run."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from runs import train_py
from scipy.stats import binomtest
from torch import Tensor, nn

from digits.data.sample import load_sample
from digits.data.split import split_hash, stratified_split
from digits.runs import read_history
from digits.training.history import COLUMNS

OPTIONS = ("data=sample", "trainer=cpu", "norm=exact", "trainer.max_epochs=2", "seed=3")


@dataclass
class Told:
    """A finished run and what it printed."""

    run_dir: Path
    stdout: str
    stderr: str

    @property
    def metrics(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.run_dir / "metrics.json").read_text())
        return found


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("here")
    finished = train_py(*OPTIONS, "name=told", cwd=folder, COLUMNS="200")
    assert finished.returncode == 0, finished.stderr
    return Told(folder / "outputs" / "runs" / "told", finished.stdout, finished.stderr)


def network(run_dir: Path) -> tuple[nn.Sequential, float, float]:
    """The trained network, put together by hand, and its normalization."""
    content = torch.load(run_dir / "model.pt", weights_only=True)
    layers = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 128),
        nn.ReLU(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    layers.load_state_dict(content["weights"])
    return layers, content["normalization"]["mean"], content["normalization"]["std"]


@torch.no_grad()
def measured(run_dir: Path, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Accuracy and mean loss of the saved network."""
    layers, mean, std = network(run_dir)
    logits = layers.double()((images.double() / 255 - mean) / std)
    accuracy = (logits.argmax(1) == labels).double().mean().item()
    return accuracy, F.cross_entropy(logits, labels).item()


def test_a_run_directory_holds_what_was_promised(told: Told) -> None:
    files = {
        str(path.relative_to(told.run_dir)) for path in told.run_dir.rglob("*") if path.is_file()
    }
    (events,) = {name for name in files if name.startswith("events.out.tfevents.")}
    assert files - {events} == {
        *(".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml"),
        *("checkpoints/best.ckpt", "checkpoints/last.ckpt"),
        *("model.pt", "metrics.json", "metrics.csv", "loss_curves.png", "train.log"),
        *("predictions.npz", "status.json"),
    }


def test_hydra_has_written_what_was_chosen(told: Told) -> None:
    config = OmegaConf.load(told.run_dir / ".hydra" / "config.yaml")
    assert OmegaConf.select(config, "seed") == 3
    assert OmegaConf.select(config, "norm.mean", default="none given") is None
    assert "hydra" not in config
    overrides = OmegaConf.load(told.run_dir / ".hydra" / "overrides.yaml")
    assert list(overrides) == [*OPTIONS, "name=told"]


def test_metrics_json_is_one_flat_object_with_the_promised_keys(told: Told) -> None:
    metrics = told.metrics
    promised = {"val/accuracy", "val/loss", "test/accuracy", "test/loss", "dataset", "seed"}
    assert promised | {"epochs", "train_time_s"} <= set(metrics)
    assert not any(isinstance(value, dict | list) for value in metrics.values())
    assert (metrics["dataset"], metrics["seed"]) == ("mnist-sample-5k", 3)
    assert (metrics["epochs"], metrics["max_epochs"]) == (2, 2)
    sizes = [metrics[f"num_{part}"] for part in ("train", "val", "test")]
    assert sizes == [3500, 500, 1000]
    assert metrics["num_parameters"] == 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10
    assert metrics["train_time_s"] == pytest.approx(
        sum(row["time_s"] for row in read_history(told.run_dir)), abs=0.001
    )


def test_test_figures_are_those_of_the_saved_network_on_the_test_images(told: Told) -> None:
    test = load_sample("test")
    accuracy, loss = measured(told.run_dir, test.images, test.labels)
    assert told.metrics["test/accuracy"] == accuracy
    assert told.metrics["test/loss"] == pytest.approx(loss, rel=1e-5)


def test_validation_figures_are_those_of_the_saved_network(told: Told) -> None:
    train = load_sample("train")
    _, val = stratified_split(train.labels, 500, 0)
    accuracy, loss = measured(told.run_dir, train.images[val], train.labels[val])
    assert told.metrics["val/accuracy"] == accuracy
    assert told.metrics["val/loss"] == pytest.approx(loss, rel=1e-5)
    assert told.metrics["val_split_sha256"] == split_hash(val)


def test_the_saved_statistics_are_those_of_the_training_images(told: Told) -> None:
    train = load_sample("train")
    chosen, _ = stratified_split(train.labels, 500, 0)
    # NumPy adds pairwise, which torch does not: 1e-15 instead of 1e-11.
    pixels = train.images[chosen].double().numpy() / 255
    expected = (pixels.mean(), pixels.std())
    assert (told.metrics["mean"], told.metrics["std"]) == pytest.approx(expected, rel=1e-12)
    assert network(told.run_dir)[1:] == (told.metrics["mean"], told.metrics["std"])


def test_the_table_has_a_row_for_each_epoch(told: Told) -> None:
    header, *rows = (told.run_dir / "metrics.csv").read_text().splitlines()
    assert header == ",".join(COLUMNS)
    assert [row.split(",")[:2] for row in rows] == [["1", "55"], ["2", "110"]]


def test_the_best_checkpoint_holds_the_saved_weights(told: Told) -> None:
    best = torch.load(told.run_dir / "checkpoints" / "best.ckpt", weights_only=True)
    for name, weight in network(told.run_dir)[0].state_dict().items():
        assert weight.equal(best["state_dict"][f"network.{name}"])


def test_the_summary_says_the_figures_and_how_sure_they_are(told: Told) -> None:
    for title, part in (("validation", "val"), ("test", "test")):
        accuracy, number = told.metrics[f"{part}/accuracy"], told.metrics[f"num_{part}"]
        interval = binomtest(round(accuracy * number), number).proportion_ci(method="wilson")
        (line,) = re.findall(rf"^.*\b{title} .*$", told.stdout, re.MULTILINE)
        assert f"{number:,}" in line
        assert f"{accuracy:.2%}" in line
        assert f"{interval.low:.2%} to {interval.high:.2%}" in line
        assert f"{told.metrics[f'{part}/loss']:.4f}" in line


def test_the_summary_says_where_things_are_and_that_this_was_not_mnist(told: Told) -> None:
    assert "run directory: outputs/runs/told" in told.stdout
    assert "tensorboard --logdir outputs/runs" in told.stdout
    assert "dataset: mnist-sample-5k" in told.stdout
    assert "not MNIST" in told.stdout
    assert [line[:9] for line in told.stdout.splitlines() if "train/loss" in line] == [
        "epoch 1/2",
        "epoch 2/2",
    ]


def test_a_run_that_goes_well_warns_of_nothing(told: Told) -> None:
    assert "arning" not in told.stderr
    assert "Traceback" not in told.stderr


def test_a_sweeps_four_jobs_have_four_readable_directories(tmp_path: Path) -> None:
    jobs = ("model=baseline,dropout", "seed=0,1", "data=sample", "trainer=cpu", "debug=fast")
    finished = train_py("-m", *jobs, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    (sweep,) = (tmp_path / "outputs" / "sweeps").iterdir()
    runs = sorted(path.name for path in sweep.iterdir() if path.is_dir())
    expected = [("baseline", 0), ("baseline", 1), ("dropout", 0), ("dropout", 1)]
    assert len(runs) == 4
    for name, (model, seed) in zip(runs, expected, strict=True):
        assert re.fullmatch(r"[A-Za-z0-9.,_+-]{1,100}", name)
        assert model in name
        assert f"seed-{seed}" in name
        metrics = json.loads((sweep / name / "metrics.json").read_text())
        assert metrics["seed"] == seed
        config = OmegaConf.load(sweep / name / ".hydra" / "config.yaml")
        assert model in OmegaConf.select(config, "model._target_").lower()
