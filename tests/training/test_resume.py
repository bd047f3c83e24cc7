"""What a run directory may be resumed with, from where, and what its status says meanwhile."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from kills import differences
from omegaconf import OmegaConf
from support import SMALL, PowerCutError, cut, steps, train

from digits.errors import DigitsError
from digits.model_file import read_checkpoint
from digits.run_directory import finished_metrics, read_history, read_status
from digits.training.resume import check_resumable, resume_point

DEMANDING = (
    *(*SMALL, "model=dropout", "optim=sgd", "schedule=onecycle", "norm=exact", "seed=5"),
    *("augment=affine", "data.batch_size=16", "trainer.max_epochs=4"),
    "trainer.limit_train_batches=40",
)
"""Everything that an interruption could upset; 40 minibatches an epoch, each a batch."""
SHORT = (*SMALL, "trainer.max_epochs=2")
VAT = "model=noise model.vat_epsilon=2 model.exact_batch_norm=true augment.erase=0.5"


def state(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("runs") / "uninterrupted"
    train(run_dir, *DEMANDING)
    return run_dir


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that a power cut ended in the middle of its third epoch, resumed."""
    run_dir = tmp_path_factory.mktemp("runs") / "resumed"
    with pytest.raises(PowerCutError):
        train(run_dir, *DEMANDING, cut(90))
    assert not (run_dir / "metrics.json").exists()
    assert [row["epoch"] for row in read_history(run_dir)] == [1, 2]
    train(run_dir, *DEMANDING, "resume=must")
    return run_dir


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(
    uninterrupted: Path, resumed: Path
) -> None:
    assert differences(uninterrupted, resumed) == []
    best, other = (
        read_checkpoint(run_dir / "checkpoints" / "best.ckpt")
        for run_dir in (uninterrupted, resumed)
    )
    assert (best["epoch"], best["global_step"]) == (other["epoch"], other["global_step"])


def test_a_resumed_runs_curves_have_no_step_twice(resumed: Path) -> None:
    for tag in ("train/loss", "val/loss", "train/accuracy", "val/accuracy"):
        assert steps(resumed, tag) == [39, 79, 119, 159], tag
    assert steps(resumed, "train/loss_step") == steps(resumed, "lr") == list(range(160))


@pytest.mark.parametrize(
    ("option", "batches"),
    [("+trainer.val_check_interval=0.5", 5), ("callbacks=ema", 17), (VAT, 17)],
)
def test_power_cuts_change_nothing(option: str, batches: int, tmp_path: Path) -> None:
    epochs = ("trainer.max_epochs=3", "trainer.limit_train_batches=10")
    options = (*SMALL, *option.split(), *epochs)
    train(tmp_path / "whole", *options)
    for number in (batches, 8):
        with pytest.raises(PowerCutError):
            train(tmp_path / "cut", *options, cut(number))
    train(tmp_path / "cut", *options)
    assert differences(tmp_path / "whole", tmp_path / "cut") == []


NEVER_BETTER = (
    *("callbacks=early_stopping", "callbacks.early_stopping.patience=1"),
    *("callbacks.early_stopping.min_delta=100", "trainer.max_epochs=9"),
)


@pytest.mark.parametrize(
    ("before", "options"),
    [
        ("pytorch_lightning.Trainer.save_checkpoint", SHORT),
        ("digits.training.run.load_best", (*SMALL, *NEVER_BETTER)),
        ("digits.training.run.save_model", SHORT),
        ("digits.training.run.write_metrics", (*SMALL, *NEVER_BETTER)),
        ("digits.training.run.write_metrics", (*SMALL, "+trainer.max_steps=13")),
    ],
)
def test_a_power_cut_outside_the_epochs_changes_nothing(
    before: str, options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise PowerCutError

    train(tmp_path / "whole", *options)
    with monkeypatch.context() as patch:
        patch.setattr(before, fail)
        with pytest.raises(PowerCutError):
            train(tmp_path / "cut", *options)
    assert finished_metrics(tmp_path / "cut") is None
    assert train(tmp_path / "cut", *options)["epochs"] == 2
    assert differences(tmp_path / "whole", tmp_path / "cut") == []


def test_an_epoch_that_max_steps_cuts_leaves_the_last_checkpoint_of_the_one_before(
    tmp_path: Path,
) -> None:
    train(tmp_path, *SMALL, "+trainer.max_steps=13")
    assert [row["step"] for row in read_history(tmp_path)] == [10, 13]
    assert read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["global_step"] == 10


def test_a_finished_run_is_left_as_it_is(
    uninterrupted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(uninterrupted)
    hydra = {path for path in before if path.parent.name == ".hydra"}
    found = train(uninterrupted, *DEMANDING)
    assert found == json.loads((uninterrupted / "metrics.json").read_text())
    told = "is a finished run on the embedded sample, not MNIST: nothing to do"
    assert told in capsys.readouterr().out
    after = state(uninterrupted)
    assert {path: before[path] for path in before.keys() - hydra} == {
        path: after[path] for path in after.keys() - hydra
    }


def test_a_finished_run_can_be_given_more_epochs_and_not_fewer(tmp_path: Path) -> None:
    train(tmp_path / "longer", *SMALL, "trainer.max_epochs=1")
    train(tmp_path / "longer", *SMALL, "trainer.max_epochs=2")
    train(tmp_path / "long", *SMALL, "trainer.max_epochs=2")
    assert read_status(tmp_path / "longer")["lengthened"] == [1]
    found = differences(tmp_path / "longer", tmp_path / "long")
    assert set(found) <= {"curves"}  # the shorter run was tested, too
    with pytest.raises(DigitsError, match=r"trainer\.max_epochs=1, .* with 2, .*; try .*=2"):
        train(tmp_path / "longer", *SMALL, "trainer.max_epochs=1")


def test_a_onecycle_given_more_epochs_goes_on_along_the_longer_cycle(
    tmp_path: Path,
) -> None:
    options = (*SMALL, "schedule=onecycle")
    train(tmp_path / "longer", *options, "trainer.max_epochs=1")
    for run in ("longer", "long"):
        train(tmp_path / run, *options, "trainer.max_epochs=3")
    longer, long = (
        [row["lr"] for row in read_history(tmp_path / run)] for run in ("longer", "long")
    )
    assert longer[0] < long[0] and longer[1:] == long[1:]


def test_a_run_that_was_moved_is_resumed_where_it_is(tmp_path: Path) -> None:
    options = (*SMALL, "trainer.max_epochs=3", "optim.lr=0")
    with pytest.raises(PowerCutError):
        train(tmp_path / "before", *options, cut(2))
    (tmp_path / "before").rename(tmp_path / "after")
    assert train(tmp_path / "after", *options)["best_epoch"] == 1
    assert not (tmp_path / "before").exists()


def test_a_drawn_seed_is_kept_when_a_run_is_resumed(tmp_path: Path) -> None:
    options = (*SMALL, "seed=null", "trainer.max_epochs=3")
    with pytest.raises(PowerCutError):
        train(tmp_path / "a", *options, cut(2))
    seed = torch.load(tmp_path / "a/checkpoints/last.ckpt", weights_only=True)["seed"]
    assert train(tmp_path / "a", *options)["seed"] == seed


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("runs") / "finished"
    train(run_dir, *SMALL, "trainer.max_epochs=1")
    return run_dir


def composed(run_dir: Path, changes: dict[str, Any]) -> Any:
    """Return the configuration that a run was started with, changed."""
    config = OmegaConf.create(read_status(run_dir)["config"])
    for key, value in changes.items():
        OmegaConf.update(config, key, value, force_add=True)
    return config


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("optim.lr", 0.5, "optim.lr=0.001"),
        ("data.train_size", None, "data.train_size=640"),
        ("seed", 3, "seed=0"),
        ("model.hidden", [8], "model.hidden=[16]"),
        ("callbacks.ema", {"_target_": "pytorch_lightning.callbacks.EMA"}, "_target_=null"),
        ("resume", "never", "holds a run already"),
    ],
)
def test_other_options_are_refused_in_one_line(
    key: str, value: Any, told: str, finished: Path
) -> None:
    with pytest.raises(DigitsError, match="; try ") as caught:
        check_resumable(finished, composed(finished, {key: value}))
    assert told in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trainer.max_epochs", 5),
        ("trainer.max_time", "00:01:00:00"),
        ("callbacks.checkpoint.filename", "best"),  # which was an option
        ("test", False),
        ("data.dir", "/elsewhere"),
        ("trainer.accelerator", "gpu"),
        ("trainer.devices", [3]),
        ("logger", {"_target_": None}),
        ("callbacks.mine", {"_target_": "my_module.MyCallback", "level": 3}),
        # what the release before wrote
        ("callbacks.stop", {"_target_": "digits.training.stopping.SafeStop", "interval_s": 60}),
        ("callbacks.checkpoint._target_", "digits.training.checkpoints.RunCheckpoint"),
    ],
)
def test_options_that_change_no_epoch_that_was_trained_may_differ(
    key: str, value: Any, finished: Path
) -> None:
    check_resumable(finished, composed(finished, {key: value}))


def test_a_directory_in_use_is_refused(finished: Path) -> None:
    with FileLock(finished / ".lock"), pytest.raises(DigitsError, match="in use by another proces"):
        train(finished, *SMALL, "trainer.max_epochs=1")


def test_what_is_resumed(tmp_path: Path) -> None:
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.parent.mkdir()
    assert resume_point(tmp_path, "auto") is resume_point(tmp_path, "never") is None
    with pytest.raises(DigitsError, match=r"resume=must, but .* try .*resume=auto"):
        resume_point(tmp_path, "must")
    last.touch()
    assert resume_point(tmp_path, "auto") == resume_point(tmp_path, "must") == last
    with pytest.raises(DigitsError, match=r"resume=never, but .* try .*resume=auto"):
        resume_point(tmp_path, "never")


@pytest.mark.parametrize("target", ["file.ckpt", "folder.ckpt", "thesis"])
@pytest.mark.parametrize("is_absolute", [True, False])
def test_a_checkpoint_names_no_file_elsewhere_that_is_then_deleted(
    target: str, is_absolute: bool, tmp_path: Path
) -> None:
    train(tmp_path / "runs" / "a", *SMALL, "trainer.max_epochs=1")
    victim = tmp_path / target
    victim.write_text("mine") if target == "file.ckpt" else victim.mkdir()
    last = tmp_path / "runs" / "a" / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    folder = last.parent
    path = str(victim) if is_absolute else f"{folder}/../../../{target}"
    for state in content["callbacks"].values():
        if "best_k_models" in state:
            worst = torch.tensor(float("-inf"))
            state |= {"best_k_models": {path: worst}, "kth_best_model_path": path}
            state |= {"best_model_path": path, "kth_value": worst, "last_model_path": path}
            state |= {"best_model_score": worst, "dirpath": str(folder)}
    torch.save(content, last)
    train(tmp_path / "runs" / "a", *SMALL, "trainer.max_epochs=2")
    assert victim.exists()


def test_a_damaged_checkpoint_is_one_line_that_says_what_to_do(
    finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "finished")
    last = tmp_path / "finished" / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(DigitsError, match=r"last.ckpt .*damaged.*; delete last.ckpt to train fr"):
        train(tmp_path / "finished", *SMALL, "trainer.max_epochs=2")


def test_more_steps_are_trained_as_if_they_had_been_planned(tmp_path: Path) -> None:
    options = (*SMALL, "trainer.max_epochs=4")
    train(tmp_path / "more", *options, "+trainer.max_steps=20")
    train(tmp_path / "more", *options, "+trainer.max_steps=25")
    assert read_status(tmp_path / "more")["lengthened"] == ["20 steps"]
    train(tmp_path / "all", *options, "+trainer.max_steps=25")
    assert set(differences(tmp_path / "more", tmp_path / "all")) <= {"curves"}
    with pytest.raises(DigitsError, match=r"max_steps=5, .* with 25, .*; try .*max_steps=25"):
        train(tmp_path / "more", *options, "+trainer.max_steps=5")


def test_steps_within_the_first_epoch_can_be_tested_later_and_grow(tmp_path: Path) -> None:
    assert train(tmp_path, *SMALL, "+trainer.max_steps=4", "test=false")["test/loss"] is None
    assert train(tmp_path, *SMALL, "+trainer.max_steps=4")["test/loss"] > 0
    train(tmp_path, *SMALL, "+trainer.max_steps=6")
    assert [row["step"] for row in read_history(tmp_path)] == [6]


def test_patience_can_grow(tmp_path: Path) -> None:
    options = [*SMALL, *NEVER_BETTER]
    assert train(tmp_path, *options)["epochs"] == 2
    options += ["callbacks.early_stopping.patience=3"]
    assert train(tmp_path, *options)["epochs"] == 4
    assert train(tmp_path, *options)["epochs"] == 4
    with pytest.raises(DigitsError, match=r"patience=2, .* with 3, .*; try .*patience=3, or"):
        train(tmp_path, *options, "callbacks.early_stopping.patience=2")


def test_a_finished_run_without_its_checkpoints_is_kept(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "finished"
    shutil.copytree(finished, run_dir, ignore=shutil.ignore_patterns("checkpoints"))
    before = (run_dir / "model.pt").stat()
    train(run_dir, *SMALL, "trainer.max_epochs=1")
    assert "nothing to do" in capsys.readouterr().out
    for options in (["optim.lr=0.1"], ["trainer.max_epochs=2"], ["resume=never"]):
        with pytest.raises(DigitsError, match="; try "):
            train(run_dir, *SMALL, "trainer.max_epochs=1", *options)
    assert (run_dir / "model.pt").stat() == before


@pytest.mark.parametrize("batches", [0, 1])
def test_a_missing_checkpoint_of_a_run_that_had_begun_is_told(
    batches: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (*SMALL, "trainer.max_epochs=2")
    with pytest.raises(PowerCutError):
        train(tmp_path, *options, cut(batches))
    (tmp_path / "checkpoints" / "last.ckpt").unlink(missing_ok=True)
    told = "checkpoints/last.ckpt is missing: training starts over"
    assert told not in capsys.readouterr().out
    train(tmp_path, *options)
    assert told in capsys.readouterr().out
