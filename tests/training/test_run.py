"""Runs from beginning to end: interrupted, resumed, finished, stopped, shortened."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import SMALL, PowerCutError, events, steps, train, train_py
from tensorboard.plugins.custom_scalar import layout_pb2  # type: ignore[import-untyped]
from tensorboard.plugins.hparams import plugin_data_pb2  # type: ignore[import-untyped]

import digits
from digits.errors import DigitsError
from digits.runs import read_history
from digits.training.checkpoints import read_checkpoint

DEMANDING = (
    *(*SMALL, "model=dropout", "optim=sgd", "schedule=onecycle", "norm=exact", "seed=5"),
    *("data.batch_size=16", "+data.minibatches_per_stack=7", "trainer.max_epochs=4"),
)
"""Everything that an interruption could upset; 40 minibatches an epoch, in six stacks."""


def metrics_but_time(run_dir: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((run_dir / "metrics.json").read_text())
    del metrics["train_time_s"]
    return metrics


def history_but_times(run_dir: Path) -> list[dict[str, float]]:
    return [
        {name: value for name, value in row.items() if name != "time_s"}
        for row in read_history(run_dir)
    ]


def weights(path: Path) -> dict[str, torch.Tensor]:
    content: dict[str, Any] = torch.load(path, weights_only=True)
    found: dict[str, torch.Tensor] = content["weights" if path.suffix == ".pt" else "state_dict"]
    return found


def assert_same_weights(path: Path, other: Path) -> None:
    ours, theirs = weights(path), weights(other)
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        assert weight.equal(theirs[name]), name


def state(folder: Path) -> dict[Path, tuple[int, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("runs") / "uninterrupted"
    train(run_dir, *DEMANDING)
    return run_dir


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that a power cut ended in the middle of its third epoch, and that was gone on with."""
    run_dir = tmp_path_factory.mktemp("runs") / "resumed"
    with pytest.raises(PowerCutError):
        train(run_dir, *DEMANDING, "+callbacks.cut={_target_: runs.PowerCutInEpoch, epoch: 3}")
    assert not (run_dir / "metrics.json").exists()
    assert [row["epoch"] for row in read_history(run_dir)] == [1, 2]
    train(run_dir, *DEMANDING, "resume=must")
    return run_dir


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    uninterrupted: Path, resumed: Path
) -> None:
    for name in ("model.pt", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
        assert_same_weights(uninterrupted / name, resumed / name)


def test_a_resumed_run_has_the_same_table_and_metrics_but_times(
    uninterrupted: Path, resumed: Path
) -> None:
    assert history_but_times(resumed) == history_but_times(uninterrupted)
    assert metrics_but_time(resumed) == metrics_but_time(uninterrupted)
    assert [row["epoch"] for row in read_history(resumed)] == [1, 2, 3, 4]


def test_a_resumed_runs_best_checkpoint_is_of_the_same_epoch(
    uninterrupted: Path, resumed: Path
) -> None:
    best, other = (
        read_checkpoint(run_dir / "checkpoints" / "best.ckpt")
        for run_dir in (uninterrupted, resumed)
    )
    assert (best["epoch"], best["global_step"]) == (other["epoch"], other["global_step"])


def test_a_resumed_runs_curves_have_no_step_twice(resumed: Path) -> None:
    for tag in ("train/loss", "val/loss", "train/accuracy", "val/accuracy"):
        assert steps(resumed, tag) == [39, 79, 119, 159], tag
    expected = [40 * epoch + end - 1 for epoch in range(4) for end in (7, 14, 21, 28, 35, 40)]
    assert steps(resumed, "train/loss_step") == steps(resumed, "lr") == expected


def test_the_table_survives_in_the_checkpoint(uninterrupted: Path) -> None:
    last = torch.load(uninterrupted / "checkpoints" / "last.ckpt", weights_only=True)
    (rows,) = [state["rows"] for name, state in last["callbacks"].items() if "History" in name]
    assert rows == read_history(uninterrupted)


def test_checkpoints_of_every_kind_of_optimizer_load_as_plain_values(tmp_path: Path) -> None:
    for optim, schedule in (("adam", "cosine"), ("adamw", "constant"), ("sgd", "onecycle")):
        run_dir = tmp_path / optim
        train(run_dir, *SMALL, f"optim={optim}", f"schedule={schedule}", "trainer.max_epochs=1")
        for name in ("best.ckpt", "last.ckpt"):
            content = torch.load(run_dir / "checkpoints" / name, weights_only=True)
            assert content["hyper_parameters"] == {"hidden": [16]}
            assert content["global_step"] == 10


def test_the_last_checkpoint_is_of_the_last_epoch_and_the_best_one_of_the_first_best(
    tmp_path: Path,
) -> None:
    # A learning rate of 0: all epochs are equally good.
    train(tmp_path / "a", *SMALL, "optim.lr=0", "trainer.max_epochs=3")
    best, last = (
        read_checkpoint(tmp_path / "a" / "checkpoints" / f"{name}.ckpt")
        for name in ("best", "last")
    )
    assert (best["global_step"], last["global_step"]) == (10, 30)


def test_the_tested_checkpoint_is_the_one_that_validation_chose(uninterrupted: Path) -> None:
    rows = read_history(uninterrupted)
    metrics = metrics_but_time(uninterrupted)
    best = max(rows, key=lambda row: row["val/accuracy"])
    assert metrics["best_epoch"] == best["epoch"]
    assert metrics["val/accuracy"] == pytest.approx(best["val/accuracy"])
    assert metrics["val/loss"] == best["val/loss"]
    saved = weights(uninterrupted / "model.pt")
    for name, weight in saved.items():
        chosen = weights(uninterrupted / "checkpoints" / "best.ckpt")[f"network.{name}"]
        assert weight.equal(chosen)


def test_a_finished_run_is_not_trained_again(uninterrupted: Path) -> None:
    before = state(uninterrupted)
    assert train(uninterrupted, *DEMANDING) == json.loads(
        (uninterrupted / "metrics.json").read_text()
    )
    assert state(uninterrupted) == before


def test_a_run_directory_in_use_is_refused_if_asked_to(uninterrupted: Path) -> None:
    before = state(uninterrupted)
    with pytest.raises(DigitsError, match="holds a run already"):
        train(uninterrupted, *DEMANDING, "resume=never")
    assert state(uninterrupted) == before


def test_a_run_interrupted_before_its_test_is_tested_when_gone_on_with(
    uninterrupted: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "untested"
    with pytest.raises(PowerCutError):
        train(run_dir, *DEMANDING, "+callbacks.cut={_target_: runs.PowerCutBeforeTest}")
    train(run_dir, *DEMANDING)
    assert metrics_but_time(run_dir) == metrics_but_time(uninterrupted)
    assert_same_weights(run_dir / "model.pt", uninterrupted / "model.pt")


def test_a_run_that_left_the_test_out_is_tested_by_the_same_command_without_that(
    tmp_path: Path,
) -> None:
    options = (*SMALL, "trainer.max_epochs=2")
    whole = train(tmp_path / "whole", *options)
    chosen_by = train(tmp_path / "run", *options, "test=false")
    assert chosen_by["val/accuracy"] == whole["val/accuracy"]
    assert (chosen_by["test/accuracy"], chosen_by["num_test"]) == (None, 0)
    assert not (tmp_path / "run" / "predictions.npz").exists()
    assert not any(tag.startswith("test/") for tag in events(tmp_path / "run").Tags()["scalars"])

    tested = train(tmp_path / "run", *options)
    assert {**tested, "train_time_s": 0} == {**whole, "train_time_s": 0}
    assert (tmp_path / "run" / "predictions.npz").exists()
    assert train(tmp_path / "run", *options, "test=false") == tested  # nothing left to do


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_finished_run_can_be_given_more_epochs(schedule: str, tmp_path: Path) -> None:
    options = (*SMALL, f"schedule={schedule}")
    train(tmp_path / "longer", *options, "trainer.max_epochs=1")
    metrics = train(tmp_path / "longer", *options, "trainer.max_epochs=3")
    assert metrics["epochs"] == 3
    assert [row["step"] for row in read_history(tmp_path / "longer")] == [10, 20, 30]


def test_a_onecycle_cannot_be_given_more_epochs_and_says_so(tmp_path: Path) -> None:
    options = (*SMALL, "schedule=onecycle")
    train(tmp_path / "a", *options, "trainer.max_epochs=1")
    with pytest.raises(DigitsError, match=r"onecycle .* 10 steps"):
        train(tmp_path / "a", *options, "trainer.max_epochs=3")


def test_more_epochs_at_a_constant_rate_are_those_of_a_longer_run(tmp_path: Path) -> None:
    train(tmp_path / "longer", *SMALL, "trainer.max_epochs=1")
    train(tmp_path / "longer", *SMALL, "trainer.max_epochs=2")
    train(tmp_path / "long", *SMALL, "trainer.max_epochs=2")
    assert_same_weights(tmp_path / "longer" / "model.pt", tmp_path / "long" / "model.pt")
    assert history_but_times(tmp_path / "longer") == history_but_times(tmp_path / "long")


@pytest.mark.filterwarnings("ignore:The dirpath has changed")  # Lightning's, which is right
def test_a_run_that_was_moved_is_gone_on_with_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(PowerCutError):
        train(
            tmp_path / "before",
            *(*SMALL, "trainer.max_epochs=3", "optim.lr=0"),
            "+callbacks.cut={_target_: runs.PowerCutInEpoch, epoch: 3}",
        )
    (tmp_path / "before").rename(tmp_path / "after")
    metrics = train(tmp_path / "after", *SMALL, "trainer.max_epochs=3", "optim.lr=0")
    assert metrics["best_epoch"] == 1
    assert not (tmp_path / "before").exists()


def test_a_drawn_seed_is_kept_when_a_run_is_gone_on_with(tmp_path: Path) -> None:
    options = (*SMALL, "seed=null", "trainer.max_epochs=3")
    with pytest.raises(PowerCutError):
        train(tmp_path / "a", *options, "+callbacks.cut={_target_: runs.PowerCutInEpoch, epoch: 3}")
    seed = train(tmp_path / "a", *options)["seed"]
    train(tmp_path / "b", *options, f"seed={seed}")
    assert_same_weights(tmp_path / "a" / "model.pt", tmp_path / "b" / "model.pt")


def test_a_run_of_another_network_is_not_gone_on_with(tmp_path: Path) -> None:
    train(tmp_path / "a", *SMALL, "trainer.max_epochs=1")
    with pytest.raises(DigitsError) as caught:
        train(tmp_path / "a", *SMALL, "trainer.max_epochs=2", "model.hidden=[17]")
    assert "\n" not in str(caught.value)


def test_a_run_that_diverges_says_so_and_cannot_be_taken_for_a_finished_one(tmp_path: Path) -> None:
    with pytest.raises(DigitsError, match="diverged"):
        train(tmp_path / "a", *SMALL, "optim=sgd", "optim.lr=1e30")
    assert not (tmp_path / "a" / "metrics.json").exists()
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
    before = state(tmp_path / "a")
    assert train(tmp_path / "a", *options) == metrics
    assert state(tmp_path / "a") == before


def test_max_steps_ends_the_run_within_an_epoch(tmp_path: Path) -> None:
    metrics = train(tmp_path / "a", *SMALL, "+trainer.max_steps=13")
    assert [row["step"] for row in read_history(tmp_path / "a")] == [10, 13]
    assert metrics["epochs"] == 2


def test_debug_fast_does_all_that_a_run_does_in_ten_steps(tmp_path: Path) -> None:
    metrics = train(tmp_path / "a", "data=sample", "trainer=cpu", "debug=fast")
    assert metrics["epochs"] == 1
    assert [row["step"] for row in read_history(tmp_path / "a")] == [10]
    written = {path.name for path in (tmp_path / "a").iterdir()}
    assert written >= {"model.pt", "metrics.json", "metrics.csv", "loss_curves.png", "checkpoints"}


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
    # One in ten is chance.
    assert metrics["test/accuracy"] > 0.5


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_a_compiled_network_trains_and_its_checkpoints_are_as_of_any_other(tmp_path: Path) -> None:
    options = (*SMALL, "trainer.max_epochs=2")
    eager = train(tmp_path / "eager", *options)
    # In a process of its own: the compiler wants to be first to import setuptools.
    ended = train_py(
        *options, "model.compile=true", f"hydra.run.dir={tmp_path / 'compiled'}", cwd=tmp_path
    )
    assert ended.returncode == 0, ended.stderr
    compiled = json.loads((tmp_path / "compiled" / "metrics.json").read_text())
    # The same arithmetic in another order: equal but for rounding.
    assert compiled["test/loss"] == pytest.approx(eager["test/loss"], rel=1e-4)
    for name in ("best", "last"):
        keys = [
            read_checkpoint(tmp_path / run / "checkpoints" / f"{name}.ckpt")["state_dict"].keys()
            for run in ("eager", "compiled")
        ]
        assert keys[0] == keys[1]
    assert digits.load(tmp_path / "compiled")(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_compiling_without_a_compiler_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DigitsError, match=r"no no-such-compiler .* try model\.compile=false"):
        train(tmp_path / "a", *SMALL, "model.compile=true")


@pytest.mark.parametrize("profiler", ["simple", "advanced", "pytorch"])
@pytest.mark.filterwarnings("ignore:.*profiler.*")  # torch's, of what it cannot measure here
def test_a_profile_is_written_into_the_run_directory(profiler: str, tmp_path: Path) -> None:
    train(tmp_path / "a", *SMALL, "trainer.max_epochs=1", f"trainer.profiler={profiler}")
    profile = (tmp_path / "a" / "fit-profile.txt").read_text()
    assert ("aten::addmm" if profiler == "pytorch" else "training_step") in profile
    assert len(list((tmp_path / "a").glob("fit-profile*.json"))) == (profiler == "pytorch")


def test_the_same_command_gives_the_same_figures(tmp_path: Path) -> None:
    for name in ("a", "b"):
        train(tmp_path / name, "model=dropout", *SMALL, "trainer.max_epochs=1")
    assert metrics_but_time(tmp_path / "a") == metrics_but_time(tmp_path / "b")


def test_no_logger_leaves_no_event_file_and_the_table_all_the_same(tmp_path: Path) -> None:
    train(tmp_path / "a", *SMALL, "logger=none", "trainer.max_epochs=1")
    assert not list((tmp_path / "a").glob("events*"))
    assert (tmp_path / "a" / "metrics.csv").exists()


def test_tensorboard_has_both_losses_at_the_same_steps(uninterrupted: Path) -> None:
    # Steps are numbered by how many were before them.
    assert steps(uninterrupted, "train/loss") == steps(uninterrupted, "val/loss")
    assert steps(uninterrupted, "train/loss") == [39, 79, 119, 159]


def test_tensorboard_shows_what_the_table_says(uninterrupted: Path) -> None:
    found = events(uninterrupted)
    for tag in ("train/loss", "val/loss", "train/accuracy", "val/accuracy"):
        expected = [row[tag] for row in read_history(uninterrupted)]
        assert [event.value for event in found.Scalars(tag)] == pytest.approx(expected, rel=1e-6)


def test_tensorboard_has_the_final_figures(uninterrupted: Path) -> None:
    found, metrics = events(uninterrupted), metrics_but_time(uninterrupted)
    for part in ("val", "test"):
        for name in ("accuracy", "loss"):
            (event,) = found.Scalars(f"final/{part}_{name}")
            assert event.value == pytest.approx(metrics[f"{part}/{name}"], rel=1e-6)


def test_tensorboard_draws_both_losses_on_one_chart(uninterrupted: Path) -> None:
    (event,) = events(uninterrupted).Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    charts = {
        chart.title: list(chart.multiline.tag)
        for category in layout.category
        for chart in category.chart
    }
    assert charts["loss"] == ["^train/loss$", "^val/loss$"]  # and not train/loss_step
    assert charts["accuracy"] == ["^train/accuracy$", "^val/accuracy$"]
    scalars = events(uninterrupted).Tags()["scalars"]
    for tag in (tag for tags in charts.values() for tag in tags):
        assert len([scalar for scalar in scalars if re.search(tag, scalar)]) == 1


def test_tensorboards_hparams_hold_the_choices_and_no_empty_metric(uninterrupted: Path) -> None:
    found = events(uninterrupted)
    content = found.PluginTagToContent("hparams")
    start = plugin_data_pb2.HParamsPluginData.FromString(
        content["_hparams_/session_start_info"]
    ).session_start_info.hparams
    choices = {name: start[name].string_value for name in ("model", "optim", "norm", "schedule")}
    assert choices == {
        "model": "dropout",
        "optim": "sgd",
        "norm": "exact",
        "schedule": "onecycle",
    }
    assert start["seed"].number_value == 5
    assert start["batch_size"].number_value == 16
    experiment = plugin_data_pb2.HParamsPluginData.FromString(
        content["_hparams_/experiment"]
    ).experiment
    names = {info.name.tag for info in experiment.metric_infos}
    assert names == {
        f"final/{part}_{name}" for part in ("val", "test") for name in ("accuracy", "loss")
    }
    assert "hp_metric" not in found.Tags()["scalars"]


def test_the_picture_of_the_curves_is_a_png(uninterrupted: Path) -> None:
    assert (uninterrupted / "loss_curves.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_no_temporary_file_is_left(uninterrupted: Path, resumed: Path) -> None:
    for run_dir in (uninterrupted, resumed):
        names = [name for _, _, files in os.walk(run_dir) for name in files]
        assert not [name for name in names if name.startswith(".")]
