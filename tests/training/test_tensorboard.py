"""What TensorBoard finds in a run."""

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning_utilities.core.imports import RequirementCache
from support import SMALL, events, steps, train
from tensorboard.plugins.custom_scalar import layout_pb2  # type: ignore[import-untyped]
from tensorboard.plugins.hparams import plugin_data_pb2  # type: ignore[import-untyped]
from tensorboard.plugins.pr_curve import metadata  # type: ignore[import-untyped]

from digits.run_directory import read_history
from digits.training.callbacks import History
from digits.training.tensorboard import TensorBoard

LIGHTNINGS = "pytorch_lightning.loggers"


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "pictured"
    options = ("norm=exact", "trainer.max_epochs=5", "logger.tensorboard.projector=true")
    train(folder, *SMALL, *options)
    return folder


def test_configuration_graph_input_confusion_matrix_and_mistakes_are_there(run_dir: Path) -> None:
    found = events(run_dir)
    (event,) = found.Tensors("configuration/text_summary")
    text = event.tensor_proto.string_val[0].decode()
    assert "    optim:\n      _target_: torch.optim.Adam" in text and "${" not in text
    assert b"Linear" in found.Graph().SerializeToString()
    assert set(found.Tags()["images"]) == {"input", "test/confusion matrix", "test/mistakes"}
    for tag in found.Tags()["images"]:
        (image,) = found.Images(tag)
        assert image.encoded_image_string.startswith(b"\x89PNG") and image.width > 400


def test_histograms_of_all_weights_are_there_after_1_2_4_epochs(run_dir: Path) -> None:
    found = events(run_dir)
    assert set(found.Tags()["histograms"]) == {
        f"network/{layer}.{kind}" for layer in (1, 3) for kind in ("weight", "bias")
    }
    for tag in found.Tags()["histograms"]:
        assert [event.step for event in found.Histograms(tag)] == [9, 19, 39]


def test_each_digit_has_a_curve_and_each_test_image_a_place_in_the_projector(run_dir: Path) -> None:
    plugin = events(run_dir).PluginTagToContent(metadata.PLUGIN_NAME)
    assert set(plugin) == {f"precision and recall/{digit}" for digit in range(10)}
    (labels,) = run_dir.glob("*/test/metadata.tsv")
    assert len(labels.read_text().split()) == 1000
    assert (labels.parent / "sprite.png").exists()


def test_the_gradient_norm_is_logged_and_the_epochs_number_is_not(run_dir: Path) -> None:
    found = events(run_dir)
    norms = [event.value for event in found.Scalars("grad_norm")]
    assert norms and all(0 < norm < 1000 for norm in norms)
    assert "epoch" not in found.Tags()["scalars"]


def test_curves_show_what_the_table_says_at_the_steps_of_the_epochs_ends(run_dir: Path) -> None:
    found = events(run_dir)
    for tag in ("train/loss", "val/loss", "train/accuracy", "val/accuracy"):
        # Steps are numbered by how many were before them.
        assert steps(run_dir, tag) == [9, 19, 29, 39, 49]
        expected = [row[tag] for row in read_history(run_dir)]
        assert [event.value for event in found.Scalars(tag)] == pytest.approx(expected, rel=1e-6)


def test_the_final_metrics_are_those_of_metrics_json(run_dir: Path) -> None:
    found, metrics = events(run_dir), json.loads((run_dir / "metrics.json").read_text())
    for part in ("val", "test"):
        for name in ("accuracy", "loss"):
            (event,) = found.Scalars(f"final/{part}_{name}")
            assert event.value == pytest.approx(metrics[f"{part}/{name}"], rel=1e-6)


def test_a_custom_chart_draws_both_losses_on_one_chart(run_dir: Path) -> None:
    (event,) = events(run_dir).Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    charts = {
        chart.title: list(chart.multiline.tag)
        for category in layout.category
        for chart in category.chart
    }
    assert charts["loss"] == ["^train/loss$", "^val/loss$"]  # and not train/loss_step
    assert charts["accuracy"] == ["^train/accuracy$", "^val/accuracy$"]
    scalars = events(run_dir).Tags()["scalars"]
    for tag in (tag for tags in charts.values() for tag in tags):
        assert len([scalar for scalar in scalars if re.search(tag, scalar)]) == 1


def test_the_hparams_tab_holds_the_choices_and_no_empty_metric(run_dir: Path) -> None:
    found = events(run_dir)
    content = found.PluginTagToContent("hparams")
    start = plugin_data_pb2.HParamsPluginData.FromString(
        content["_hparams_/session_start_info"]
    ).session_start_info.hparams
    choices = {name: start[name].string_value for name in ("model", "optim", "norm", "schedule")}
    assert choices == dict(model="baseline", optim="adam", norm="exact", schedule="constant")
    assert (start["seed"].number_value, start["batch_size"].number_value) == (0, 64)
    experiment = plugin_data_pb2.HParamsPluginData.FromString(
        content["_hparams_/experiment"]
    ).experiment
    names = {info.name.tag for info in experiment.metric_infos}
    assert names == {
        f"final/{part}_{name}" for part in ("val", "test") for name in ("accuracy", "loss")
    }
    assert "hp_metric" not in found.Tags()["scalars"]


CHARTS = {"train/loss", "val/loss", "train/accuracy", "val/accuracy", "final/test_accuracy"}


@pytest.mark.parametrize(
    ("options", "folder", "table"),
    [
        (("logger=[csv,tensorboard]",), "", "csv/version_0/metrics.csv"),
        (
            ("logger=none", f"logger._target_={LIGHTNINGS}.TensorBoardLogger", "+logger.name=x"),
            *("x/version_0", None),
        ),
        (
            ("logger=none", f"logger._target_={LIGHTNINGS}.CSVLogger", "+logger.version=1"),
            *(None, "lightning_logs/version_1/metrics.csv"),
        ),
    ],
    ids=["several", "Lightning's TensorBoardLogger", "Lightning's CSVLogger"],
)
def test_any_logger_gets_its_own_arguments_and_what_it_can_hold(
    tmp_path: Path, options: tuple[str, ...], folder: str | None, table: str | None
) -> None:
    train(tmp_path / "run", *SMALL, "trainer.max_epochs=1", *options)

    if folder is not None:
        found = events(tmp_path / "run" / folder)
        assert set(found.Tags()["scalars"]) >= CHARTS
        assert {"custom_scalars__config__", "_hparams_/experiment"} <= {
            *found.Tags()["tensors"],
            *(f"{tag}" for tag in found.PluginTagToContent("hparams")),
        }
    if table is not None:
        file = tmp_path / "run" / table
        assert set(file.read_text().splitlines()[0].split(",")) >= CHARTS
        assert "optim: adam" in (file.parent / "hparams.yaml").read_text()
    assert (folder is None) == (not list((tmp_path / "run").rglob("events.*")))


def test_a_missing_package_is_named_with_what_installs_it(
    command_line: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("wandb", "mlflow"):
        known = f"pytorch_lightning.loggers.{name}._{name.upper()}_AVAILABLE"
        monkeypatch.setattr(known, RequirementCache(f"{name}>=999"))
        _, _, stderr = command_line(f"logger={name}")
        assert stderr.startswith(f"error: logger.{name}: ") and stderr.count("\n") == 1
        assert f"Try running `pip install -U '{name}>=999'`" in stderr
    assert not any(tmp_path.iterdir())


def test_a_run_of_weights_and_biases_ends_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb: Any = SimpleNamespace(run=None, finish=lambda: setattr(wandb, "run", None))
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setattr(History, "on_fit_start", lambda *_: setattr(wandb, "run", "open"))
    train(tmp_path / "a", *SMALL, "trainer.max_epochs=1", "logger=none")
    assert wandb.run is None  # or the process's next run would be logged as this one


def test_an_event_file_never_shares_its_second_with_an_earlier_one(tmp_path: Path) -> None:
    second = int(time.time())
    earlier = tmp_path / f"events.out.tfevents.{second}.host.1.9"
    earlier.touch()
    TensorBoard(str(tmp_path)).experiment.close()
    (later,) = set(tmp_path.iterdir()) - {earlier}
    assert int(later.name.split(".")[3]) > second


def test_a_network_that_cannot_be_traced_trains_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("not traceable")

    monkeypatch.setattr(torch.jit, "trace", fail)
    train(tmp_path / "a", *SMALL, "trainer.max_epochs=1")
    assert not events(tmp_path / "a").Tags()["graph"]
    printed = capsys.readouterr()
    assert "traceable" not in printed.out + printed.err and "graph" not in printed.out
