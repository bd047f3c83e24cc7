"""Model, data and trainer as the configuration says, or one line that says why not."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from support import REPO, SMALL, PowerCutError, cut, steps, train
from torch import nn

from digits.config.errors import explain
from digits.config.resolvers import register_resolvers
from digits.data.batches import Batch
from digits.errors import DigitsError
from digits.models import BaselineClassifier, Classifier
from digits.run_directory import read_history
from digits.training.build import make_model, num_threads

OWN = (
    *("data=sample", "trainer=cpu", "logger=none", "trainer.max_epochs=1"),
    *("~model.hidden", f"model._target_={__name__}.OwnClassifier"),
)


class OwnClassifier(Classifier):
    """A linear network, in which mistakes can be made."""

    def __init__(self, flatten: bool = True, digits: int = 10, **training: object) -> None:
        super().__init__(**training)  # type: ignore[arg-type]
        first = nn.Flatten() if flatten else nn.Identity()
        self.network = nn.Sequential(first, nn.Linear(784, digits))


def test_your_own_network_trains(tmp_path: Path) -> None:
    metrics = train(tmp_path / "a", *OWN)
    assert metrics["num_parameters"] == 7850
    assert metrics["test/accuracy"] > 0.5  # one in ten is chance


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (
            "+model.flatten=false",
            r"fails on images of shape \(2, 1, 28, 28\): .*nn.Flatten\(\) first gives",
        ),
        ("+model.digits=9", r"maps two images to \(2, 9\), not \(2, 10\); try nn.Linear"),
    ],
)
def test_a_network_with_a_mistake_is_told_before_it_trains(
    option: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(DigitsError, match=f"OwnClassifier.*{told}") as caught:
        train(tmp_path / "a", *OWN, option)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a" / "metrics.csv").exists()


def test_compiling_without_a_compiler_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DigitsError, match=r"no no-such-compiler .* try model\.compile=false"):
        train(tmp_path / "a", *SMALL, "model.compile=true")


def test_what_your_own_network_stumbles_over_is_told_with_its_arguments(tmp_path: Path) -> None:
    with pytest.raises(InstantiationException) as caught:
        train(tmp_path / "a", *OWN, "+model.digits=abc")
    line = str(explain(caught.value))
    assert line.startswith(f"model: {__name__}.OwnClassifier(")
    assert "digits=abc): TypeError: " in line
    assert "(test_build.py, line " in line and "\n" not in line


def test_what_a_trainer_refuses_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InstantiationException) as caught:
        train(tmp_path / "a", *SMALL, "trainer.precision=many")
    assert "many" in str(explain(caught.value))


def threads_of(*overrides: str) -> int:
    """Return with how many threads a configuration is trained."""
    register_resolvers()
    with initialize_config_dir(str(REPO / "conf"), version_base="1.3"):
        config = compose("config", ["name=a", *overrides])
    return num_threads(config, make_model(config, seed=0))


@pytest.mark.parametrize(
    ("overrides", "threads"),
    [
        (("model=baseline",), 1),
        (("experiment=original",), 1),
        (("model=baseline", "data.batch_size=256"), 4),
        (("model=dropout",), 4),
        (("model=cnn",), 4),
        (("model=cnn", "threads=2"), 2),
        (("model=baseline", "threads=3"), 3),
    ],
)
def test_threads_follow_from_the_work_in_a_minibatch(
    overrides: tuple[str, ...], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("digits.training.build.num_cores", lambda: 64)
    assert threads_of(*overrides) == threads


@pytest.mark.parametrize(("size", "threads"), [(361, 1), (362, 4)])
def test_the_work_in_convolutions_and_layers_is_counted(
    size: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("digits.training.build.num_cores", lambda: 64)
    options = ("channels=[2,4]", "kernel_size=[5,3]", "convolutions=1", "pool=true", "dense=10")
    # (25 * 2 * 784 + 9 * 2 * 4 * 196 + 4 * 49 * 10 + 10 * 10) * 361 is just below 20 million.
    network = (f"model.{each}" for each in options)
    assert threads_of("model=cnn", *network, f"data.batch_size={size}") == threads


def test_a_training_has_no_more_threads_than_there_are_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("digits.training.build.num_cores", lambda: 1)
    assert threads_of("model=cnn") == 1


def test_a_run_says_with_how_many_threads_it_computed_and_gives_them_back(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    metrics = train(tmp_path / "a", *SMALL, "trainer.max_epochs=1", f"threads={before + 1}")
    assert metrics["threads"] == before + 1
    assert torch.get_num_threads() == before


CONSTANT = (*SMALL, "schedule=constant")
BARE = ("~optim.betas", "~optim.weight_decay", "~optim.fused")
FORKING = "{_target_:pytorch_lightning.strategies.DDPStrategy,start_method:fork}"
TORCHS = "schedule._target_=torch.optim.lr_scheduler"


def test_what_a_schedule_stumbles_over_at_its_first_step_is_told_in_one_line(
    tmp_path: Path,
) -> None:
    plateau = (f"{TORCHS}.ReduceLROnPlateau", "+schedule.patience=soon")
    with pytest.raises(DigitsError, match="ReduceLROnPlateau cannot be used here: "):
        train(tmp_path, *CONSTANT, *plateau)


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        (("StepLR", "+schedule.step_size=1", "+schedule.interval=epoch"), [1e-3, 1e-4, 1e-5]),
        (("StepLR", "+schedule.step_size=20"), [1e-3, 1e-4, 1e-4]),  # of ten steps an epoch
        (("CosineAnnealingLR", "+schedule.interval=epoch"), [1e-3, 7.5e-4, 2.5e-4]),
        # The loss does not fall by nine tenths within an epoch.
        (
            ("ReduceLROnPlateau", "+schedule.patience=0", "+schedule.threshold=0.9"),
            [1e-3] * 2 + [1e-4],
        ),
    ],
)
def test_torchs_schedules_work_by_yaml_each_step_or_epoch_also_resumed(
    options: tuple[str, ...], rates: list[float], tmp_path: Path
) -> None:
    name, *given = options
    overrides = (*CONSTANT, f"{TORCHS}.{name}", *given, "trainer.max_epochs=3")
    train(tmp_path / "whole", *overrides)
    with pytest.raises(PowerCutError):
        train(tmp_path / "cut", *overrides, cut(batches=2))
    train(tmp_path / "cut", *overrides)
    whole, resumed = (read_history(tmp_path / run) for run in ("whole", "cut"))
    # StepLR that falls with the 20th step has fallen when the second epoch's rate is written.
    assert [row["lr"] for row in whole] == pytest.approx(rates)
    assert [row["lr"] for row in resumed] == [row["lr"] for row in whole]
    assert resumed[-1]["val/loss"] == whole[-1]["val/loss"]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ((f"{TORCHS}.StepLR",), r"'step_size'; try \+schedule.step_size=VALUE"),
        ((f"{TORCHS}.ExponentialLR",), r"'gamma'; try \+schedule.gamma=VALUE"),
        ((*BARE, "optim._target_=torch.optim.LBFGS"), "'closure'; try optim=adam"),
        ((*BARE, "optim._target_=torch.optim.SparseAdam"), "dense gradients.*; try optim=adam"),
        ((*BARE, "optim._target_=torch.optim.Muon"), "Muon only supports 2D"),
    ],
)
def test_what_an_optimizer_or_a_schedule_refuses_is_one_line(
    overrides: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    with pytest.raises(DigitsError, match=told) as caught:
        train(tmp_path / "a", *CONSTANT, "trainer.max_epochs=1", *overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("callback", "told"),
    [
        ("BatchSizeFinder", "BatchSizeFinder.*; try -m data.batch_size=64,128,256"),
        ("LearningRateFinder", "LearningRateFinder.*; try -m optim.lr=0.0003,0.001,0.003"),
        ("StochasticWeightAveraging,swa_lrs:0.1", "StochasticWeightA.*; try callbacks=ema"),
        ("GradientAccumulationScheduler,scheduling:{0:2}", "; try trainer.accumulate_grad_ba"),
    ],
)
def test_callbacks_for_automatic_optimization_are_refused(
    callback: str, told: str, tmp_path: Path
) -> None:
    added = f"+callbacks.own={{_target_:pytorch_lightning.callbacks.{callback}}}"
    with pytest.raises(DigitsError, match=f"Lightning's .*{told}"):
        train(tmp_path / "a", *SMALL, added)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("trainer=ddp", "+trainer.num_nodes=2"), "num_nodes=2 .* torchrun --nnodes 2 --nproc-per"),
        (("+trainer.num_nodes=2",), "torchrun --nnodes 2 --nproc-per-node 1"),
        (
            ("trainer.devices=2", f"+trainer.strategy={FORKING}"),
            "try trainer=ddp in a terminal",
        ),
    ],
)
def test_processes_that_nobody_starts_or_that_are_forked_are_refused(
    options: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    with pytest.raises(DigitsError, match=told):
        train(tmp_path / "a", *SMALL, *options)


def test_a_package_that_a_callback_lacks_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytorch_lightning.callbacks.device_stats_monitor._PSUTIL_AVAILABLE", "")
    added = "+callbacks.own._target_=pytorch_lightning.callbacks.DeviceStatsMonitor"
    with pytest.raises(ModuleNotFoundError) as caught:
        train(tmp_path / "a", *SMALL, added, "logger=csv")
    assert "`psutil` is not installed" in str(explain(caught.value))


def test_the_bar_can_be_switched_off_or_be_another_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = "+callbacks.bar._target_=pytorch_lightning.callbacks.TQDMProgressBar"
    for run, option in {"off": "+trainer.enable_progress_bar=false", "other": bar}.items():
        train(tmp_path / run, *SMALL, "trainer.max_epochs=1", option)
        assert "epoch 1/1  train/loss" in capsys.readouterr().out


def test_without_checkpoints_the_last_weights_are_tested(tmp_path: Path) -> None:
    metrics = train(tmp_path / "a", *SMALL, "~callbacks.checkpoint", "~callbacks.last")
    assert metrics["best_epoch"] == metrics["epochs"] == 10
    assert not [*tmp_path.rglob("*.ckpt")]


class Strangers(BaselineClassifier):
    """Logs metrics of its own."""

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        super().training_step(batch, batch_idx)
        self.log("train/own", 0.25, on_step=True, on_epoch=True)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        super().validation_step(batch, batch_idx)
        self.log("val/f1", 0.5)


def test_own_metrics_are_in_the_table_and_the_epochs_line_and_count_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = (f"model._target_={__name__}.Strangers", "callbacks.checkpoint.monitor=val/f1")
    train(tmp_path / "a", *SMALL, "logger=tensorboard", "trainer.max_epochs=2", *own)
    rows = read_history(tmp_path / "a")
    assert [(row["val/f1"], row["train/own"]) for row in rows] == [(0.5, 0.25)] * 2
    assert "train/own 0.2500  val/f1 0.5000" in capsys.readouterr().out
    for tag in ("train/own_step", "train/own_epoch", "val/f1", "val/loss"):
        assert steps(tmp_path / "a", tag) == [9, 19]
