"""Runs from beginning to end, in this process: what they leave behind, and what they repeat."""

import json
import os
import shutil
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from kills import differences
from scipy.stats import binomtest
from support import SMALL, events, train, train_py
from torch import Tensor, nn

import digits
from digits.data.datasets import read
from digits.data.split import split_hash, stratified_split
from digits.errors import DigitsError
from digits.run_directory import read_history, read_predictions, read_run, read_status

AUGMENTED = (*SMALL, "augment=elastic", "trainer.max_epochs=2")


@dataclass
class Told:
    """A finished run and what it printed."""

    run_dir: Path
    stdout: str

    @property
    def metrics(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.run_dir / "metrics.json").read_text())
        return found


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    run_dir = tmp_path_factory.mktemp("runs") / "told"
    options = ("data=sample", "trainer=cpu", "norm=exact", "trainer.max_epochs=2", "seed=3")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as stdout:
        patch.setenv("COLUMNS", "200")
        train(run_dir, *options)
    return Told(run_dir, stdout.getvalue())


def network(run_dir: Path) -> tuple[nn.Sequential, float, float]:
    """Return the trained network, put together by hand, and its normalization."""
    content = torch.load(run_dir / "model.pt", weights_only=True)
    layers = nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)),
    )
    layers.load_state_dict(content["weights"])
    return layers, content["normalization"]["mean"], content["normalization"]["std"]


@torch.no_grad()
def logits_of(run_dir: Path, images: Tensor) -> Tensor:
    layers, mean, std = network(run_dir)
    logits: Tensor = layers.double()((images.double() / 255 - mean) / std)
    return logits


def sample(part: Literal["train", "test"]) -> tuple[Tensor, Tensor]:
    found = read(Path("unused"), part, "mnist-sample-5k")
    return found.images, found.labels


def test_a_run_directory_holds_what_was_promised_and_nothing_half_written(told: Told) -> None:
    files = {
        str(path.relative_to(told.run_dir)) for path in told.run_dir.rglob("*") if path.is_file()
    }
    (event_file,) = {name for name in files if name.startswith("events.out.tfevents.")}
    assert files - {event_file} == {
        *(".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml"),
        *("checkpoints/best.ckpt", "checkpoints/last.ckpt", "status.json"),
        *("model.pt", "metrics.json", "metrics.csv", "loss_curves.png", "predictions.npz"),
    }
    assert (told.run_dir / "loss_curves.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert read_status(told.run_dir)["status"] == "finished"
    # Hydra is needed by no run, and left as it was.
    assert not HydraConfig.initialized() and not GlobalHydra.instance().is_initialized()


def test_metrics_json_is_one_flat_object_with_the_promised_keys(told: Told) -> None:
    metrics = told.metrics
    assert not any(isinstance(value, dict | list) for value in metrics.values())
    assert (metrics["dataset"], metrics["seed"]) == ("mnist-sample-5k", 3)
    assert (metrics["epochs"], metrics["max_epochs"]) == (2, 2)
    assert [metrics[f"num_{part}"] for part in ("train", "val", "test")] == [3500, 500, 1000]
    assert metrics["num_parameters"] == 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10
    times = [row["time_s"] for row in read_history(told.run_dir)]
    assert metrics["train_time_s"] == pytest.approx(sum(times), abs=0.001)


def test_results_are_those_of_the_saved_network_on_test_and_validation_images(told: Told) -> None:
    images, labels = sample("train")
    _, val = stratified_split(labels, 500, 0)
    for part, x, y in (("val", images[val], labels[val]), ("test", *sample("test"))):
        logits = logits_of(told.run_dir, x)
        assert told.metrics[f"{part}/accuracy"] == float((logits.argmax(1) == y).double().mean())
        assert told.metrics[f"{part}/loss"] == pytest.approx(
            F.cross_entropy(logits, y).item(), rel=1e-5
        )
    assert told.metrics["val_split_sha256"] == split_hash(val)


def test_predictions_are_those_of_the_saved_network(told: Told) -> None:
    images, labels = sample("test")
    confidence, predicted = logits_of(told.run_dir, images).softmax(1).max(1)
    found = read_predictions(told.run_dir)
    assert found.labels.tolist() == labels.tolist()
    assert found.predicted.tolist() == predicted.tolist()
    assert found.confidence.tolist() == pytest.approx(confidence.tolist(), abs=1e-3)


def test_the_saved_statistics_are_those_of_the_training_images(told: Told) -> None:
    images, labels = sample("train")
    chosen, _ = stratified_split(labels, 500, 0)
    pixels = images[chosen].double().numpy() / 255  # NumPy adds pairwise, torch does not
    expected = (pixels.mean(), pixels.std())
    assert (told.metrics["mean"], told.metrics["std"]) == pytest.approx(expected, rel=1e-12)
    assert network(told.run_dir)[1:] == (told.metrics["mean"], told.metrics["std"])


def test_the_tested_and_saved_checkpoint_is_the_one_that_validation_chose(told: Told) -> None:
    rows = read_history(told.run_dir)
    best = max(rows, key=lambda row: row["val/accuracy"])
    assert told.metrics["best_epoch"] == best["epoch"]
    assert told.metrics["val/loss"] == best["val/loss"]
    checkpoint = torch.load(told.run_dir / "checkpoints" / "best.ckpt", weights_only=True)
    assert checkpoint["epoch"] + 1 == best["epoch"]
    for name, weight in network(told.run_dir)[0].state_dict().items():
        assert weight.equal(checkpoint["state_dict"][f"network.{name}"])


def test_the_summary_says_the_results_and_how_sure_they_are(told: Told) -> None:
    for title, part in (("validation", "val"), ("test", "test")):
        accuracy, number = told.metrics[f"{part}/accuracy"], told.metrics[f"num_{part}"]
        interval = binomtest(round(accuracy * number), number).proportion_ci(method="wilson")
        (line,) = [each for each in told.stdout.splitlines() if f" {title} " in each]
        for shown in (
            f"{number:,}",
            f"{accuracy:.2%}",
            f"{interval.low:.2%} to {interval.high:.2%}",
            f"{told.metrics[f'{part}/loss']:.4f}",
        ):
            assert f" {shown} " in line


def test_the_screen_says_what_is_trained_where_things_are_and_that_this_was_not_mnist(
    told: Told,
) -> None:
    lines = told.stdout.splitlines()
    assert (
        lines[0]
        == "model=baseline (109,386 parameters), optim=adam, norm=exact, schedule=cosine, seed=3"
    )
    assert lines[1] == f"run directory: {told.run_dir}"
    assert [each[:9] for each in lines if "train/loss" in each] == ["epoch 1/2", "epoch 2/2"]
    assert f"tensorboard --logdir {told.run_dir.parent}" in told.stdout
    assert "2 epochs in " in told.stdout and "dataset: mnist-sample-5k" in told.stdout
    assert "not MNIST" in lines[-1]


def test_the_layers_are_listed_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    option = "+trainer.enable_model_summary=true"
    metrics = train(tmp_path / "a", *SMALL, "trainer.max_epochs=1", option)
    lines = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines() if "│" in line]
    layers = [[cell.strip() for cell in line] for line in lines if "network" in line[0]]
    assert layers[0] == ["network", "MLP", "12,730", "[1, 1, 28, 28]", "[1, 10]"]
    assert layers[-1] == ["network.3", "Linear", "170", "[1, 16]", "[1, 10]"]
    train(tmp_path / "b", *SMALL, "trainer.max_epochs=1", quiet=True)
    without, _ = capsys.readouterr()
    assert not without and metrics["num_parameters"] == 12_730
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_the_same_command_gives_the_same_run_and_a_quiet_one_prints_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        train(tmp_path / name, "model=dropout", *SMALL, "trainer.max_epochs=1", quiet=True)
    assert differences(tmp_path / "a", tmp_path / "b") == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no taskset")
def test_a_small_network_has_the_same_bits_on_any_number_of_cores(tmp_path: Path) -> None:
    cores = sorted(os.sched_getaffinity(0))
    for name, some in (("one", cores[:1]), ("two", cores[:2])):
        os.sched_setaffinity(0, some)  # which the new process inherits, as from taskset
        try:
            done = train_py("data=sample", f"name={name}", cwd=tmp_path, OMP_NUM_THREADS="2")
        finally:
            os.sched_setaffinity(0, cores)
        assert done.returncode == 0, done.stderr
    runs = tmp_path / "outputs" / "runs"
    assert differences(runs / "one", runs / "two") == []


def test_a_run_that_left_the_test_out_is_tested_by_the_same_command_without_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (*SMALL, "trainer.max_epochs=2")
    whole = train(tmp_path / "whole", *options)
    capsys.readouterr()
    untested = train(tmp_path / "run", *options, "test=false")
    assert "run the same command without test=false" in capsys.readouterr().out
    assert untested["val/accuracy"] == whole["val/accuracy"]
    assert (untested["test/accuracy"], untested["num_test"]) == (None, 0)
    answered = read_predictions(tmp_path / "run")
    assert answered.correct.mean() == untested["val/accuracy"]
    assert answered.indices is not None and len(answered.indices) == untested["num_val"]
    assert not any(tag.startswith("test/") for tag in events(tmp_path / "run").Tags()["scalars"])

    tested = train(tmp_path / "run", *options)
    assert {**tested, "train_time_s": 0} == {**whole, "train_time_s": 0}
    assert read_predictions(tmp_path / "run").indices is None
    assert train(tmp_path / "run", *options, "test=false") == tested  # nothing left to do


def test_a_run_that_diverges_says_so_and_cannot_be_taken_for_a_finished_one(tmp_path: Path) -> None:
    with pytest.raises(DigitsError, match="diverged"):
        train(tmp_path / "a", *SMALL, "optim=sgd", "optim.lr=1e30")
    run = read_run(tmp_path / "a")
    assert (run.status, run.is_finished) == ("failed", False)
    assert "diverged" in run.reason
    assert not (tmp_path / "a" / "model.pt").exists()


def test_early_stopping_ends_the_run_and_the_run_is_finished(tmp_path: Path) -> None:
    options = (
        *(*SMALL, "callbacks=early_stopping", "trainer.max_epochs=20"),
        *("callbacks.early_stopping.patience=2", "callbacks.early_stopping.min_delta=100"),
    )
    # No loss falls by 100, so the first epoch stays the best one, and two more are waited for.
    metrics = train(tmp_path / "a", *options)
    assert metrics["epochs"] == 3
    assert [row["epoch"] for row in read_history(tmp_path / "a")] == [1, 2, 3]
    written = (tmp_path / "a" / "status.json").stat().st_mtime_ns
    assert train(tmp_path / "a", *options) == metrics
    assert (tmp_path / "a" / "status.json").stat().st_mtime_ns == written


def test_an_averaged_network_is_what_is_validated_tested_and_saved(tmp_path: Path) -> None:
    train(tmp_path / "plain", *SMALL, "trainer.max_epochs=2")
    averaged = train(tmp_path / "ema", *SMALL, "trainer.max_epochs=2", "callbacks=ema")
    images, labels = sample("test")
    logits = digits.load(tmp_path / "ema")(images)
    assert averaged["test/loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert "weights" in differences(tmp_path / "plain", tmp_path / "ema")


def test_debug_overfit_learns_256_images_by_heart(tmp_path: Path) -> None:
    metrics = train(tmp_path / "a", "data=sample", "trainer=cpu", "debug=overfit")
    assert metrics["num_train"] == 256
    assert read_history(tmp_path / "a")[-1]["train/accuracy"] > 0.99


@pytest.mark.parametrize("limit", ["6", "0.6"])
def test_a_limited_epoch_accumulates_as_a_whole_one(limit: str, tmp_path: Path) -> None:
    options = (f"trainer.limit_train_batches={limit}", "trainer.accumulate_grad_batches=3")
    train(tmp_path / "a", *SMALL, *options, "trainer.max_epochs=2")
    # six minibatches an epoch, three a step
    assert [row["step"] for row in read_history(tmp_path / "a")] == [2, 4]


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_every_precision_of_the_cpu_trains_and_tests(precision: str, tmp_path: Path) -> None:
    options = ("data=sample", "trainer=cpu", f"trainer.precision={precision}")
    metrics = train(tmp_path / "a", *options, "trainer.max_epochs=2")
    assert metrics["test/accuracy"] > 0.5  # one in ten is chance


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_a_compiled_network_trains_and_its_checkpoints_are_as_of_any_other(tmp_path: Path) -> None:
    options = (*SMALL, "trainer.max_epochs=2")
    eager = train(tmp_path / "eager", *options)
    # In a process of its own: the compiler wants to be first to import setuptools.
    place = f"hydra.run.dir={tmp_path / 'compiled'}"
    ended = train_py(*options, "model.compile=true", place, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    compiled = json.loads((tmp_path / "compiled" / "metrics.json").read_text())
    # The same arithmetic in another order: equal but for rounding.
    assert compiled["test/loss"] == pytest.approx(eager["test/loss"], rel=1e-4)
    assert digits.load(tmp_path / "compiled")(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize("profiler", ["simple", "advanced", "pytorch"])
@pytest.mark.filterwarnings("ignore:.*profiler.*")  # torch's, of what it cannot measure here
def test_a_profile_is_written_into_the_run_directory(profiler: str, tmp_path: Path) -> None:
    train(tmp_path / "a", *SMALL, "trainer.max_epochs=1", f"trainer.profiler={profiler}")
    profile = (tmp_path / "a" / "fit-profile.txt").read_text()
    assert ("aten::addmm" if profiler == "pytorch" else "training_step") in profile
    assert len(list((tmp_path / "a").glob("fit-profile*.json"))) == (profiler == "pytorch")


@pytest.mark.parametrize("option", ["trainer.limit_train_batches=10", "logger=none"])
def test_what_is_drawn_depends_on_neither_stacks_nor_pictures(option: str, tmp_path: Path) -> None:
    train(tmp_path / "one", *AUGMENTED)
    train(tmp_path / "other", *AUGMENTED, option)
    # The table's means are summed up in another order, and curves have other points, or none.
    differing = {"epochs", "curves"}
    assert set(differences(tmp_path / "one", tmp_path / "other")) <= differing


def test_validation_and_test_images_stay_as_they_are(tmp_path: Path) -> None:
    # A network that does not learn validates alike, however its training images are changed.
    still = ("optim=sgd", "optim.lr=1e-30", "optim.momentum=0", "optim.nesterov=false")
    options = [each for each in SMALL if not each.startswith("optim")]
    changed = train(tmp_path / "changed", *options, *still, "augment=elastic", "debug=fast")
    same = train(tmp_path / "same", *options, *still, "debug=fast")
    for part in ("val/loss", "test/loss"):
        assert changed[part] == same[part]


def test_what_is_validated_by_exact_statistics_is_what_is_saved(tmp_path: Path) -> None:
    options = (*SMALL, "model=noise", "optim.lr=0.01", "trainer.max_epochs=2", "test=false")
    exact = train(tmp_path / "exact", *options, "model.exact_batch_norm=true")
    with pytest.raises(DigitsError, match="needs batch normalization"):
        train(tmp_path / "none", *SMALL, "+model.exact_batch_norm=true")
    assert exact["val/loss"] != train(tmp_path / "usual", *options)["val/loss"]
    images, labels = sample("train")
    _, held_out = stratified_split(labels, 500, 0)
    with torch.no_grad():
        logits = digits.load(tmp_path / "exact")(images[held_out])
    assert F.cross_entropy(logits, labels[held_out]).item() == pytest.approx(
        exact["val/loss"], 1e-4
    )
