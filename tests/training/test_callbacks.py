"""Checkpoints: when they are written, and that they are written whole or not at all."""

import errno
import json
import os
import resource
from pathlib import Path

import pytest
import torch
from support import SMALL, PowerCutError, cut, train

import digits
from digits.config.errors import explain
from digits.data.datasets import load_sample
from digits.data.split import stratified_split
from digits.model_file import read_checkpoint
from digits.run_directory import read_history
from digits.training.callbacks import COLUMNS, AtomicCheckpointIO

THIRD = "{_target_: pytorch_lightning.callbacks.ModelCheckpoint, monitor: val/loss, save_top_k: 2"


def test_a_full_disk_is_one_line_and_leaves_the_old_checkpoint_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 3}, path)
    before = path.read_bytes()

    def is_full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", is_full)
    with pytest.raises(OSError, match="No space left") as caught:
        AtomicCheckpointIO().save_checkpoint({"step": 4}, path)
    line = f"{path} cannot be written or read (No space left on device); free some space"
    assert str(explain(caught.value)).startswith(line)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_to_its_end_is_named(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            AtomicCheckpointIO().save_checkpoint({"a": torch.zeros(100_000)}, tmp_path / "a.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.filename == str(tmp_path / "a.ckpt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("optim", ["adam", "adamw", "sgd"])
def test_checkpoints_of_every_optimizer_load_as_plain_values(optim: str, tmp_path: Path) -> None:
    options = (f"optim={optim}", "schedule=onecycle", "trainer.max_epochs=1")
    train(tmp_path, *SMALL, *options)
    for name in ("best.ckpt", "last.ckpt"):
        content = torch.load(tmp_path / "checkpoints" / name, weights_only=True)
        assert content["global_step"] == 10


def test_the_last_checkpoint_is_of_the_last_epoch_and_the_best_one_of_the_first_best(
    tmp_path: Path,
) -> None:
    # A learning rate of 0: all epochs are equally good.
    train(tmp_path, *SMALL, "optim.lr=0", "trainer.max_epochs=3")
    best, last = (
        read_checkpoint(tmp_path / "checkpoints" / f"{name}.ckpt") for name in ("best", "last")
    )
    assert (best["global_step"], last["global_step"]) == (10, 30)


def test_the_last_checkpoint_is_of_a_whole_epoch_and_the_best_one_of_any_validation(
    tmp_path: Path,
) -> None:
    with pytest.raises(PowerCutError):
        train(tmp_path, *SMALL, "+trainer.val_check_interval=0.5", cut(8))
    folder = tmp_path / "checkpoints"
    assert [path.name for path in folder.iterdir()] == ["best.ckpt"]
    assert read_checkpoint(folder / "best.ckpt")["global_step"] == 5


def test_the_table_has_a_row_for_each_epoch_and_is_part_of_the_checkpoint(tmp_path: Path) -> None:
    train(tmp_path, *SMALL, "trainer.max_epochs=2")
    header, *rows = (tmp_path / "metrics.csv").read_text().splitlines()
    assert header == ",".join(COLUMNS)
    assert [row.split(",")[:2] for row in rows] == [["1", "10"], ["2", "20"]]
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["callbacks"]["History"]["rows"] == read_history(tmp_path)


def test_results_are_those_of_the_validation_that_chose_the_checkpoint(tmp_path: Path) -> None:
    # Learns in the first half of the epoch only: the other half makes the network worse.
    options = ("trainer.max_epochs=1", "+trainer.val_check_interval=0.2", "optim.lr=0.3")
    metrics = train(tmp_path, *SMALL, *options)
    best = read_checkpoint(tmp_path / "checkpoints" / "best.ckpt")
    assert best["global_step"] < 10
    assert metrics["val/loss"] == best["validated"]["val/loss"]
    assert metrics["val/loss"] != read_history(tmp_path)[-1]["val/loss"]
    data = load_sample("train")
    _, held_out = stratified_split(data.labels, 500, 0)
    predicted = digits.load(tmp_path)(data.images[held_out]).argmax(1)
    assert metrics["val/accuracy"] == (predicted == data.labels[held_out]).double().mean().item()


def test_the_table_has_no_validation_of_another_epoch(tmp_path: Path) -> None:
    train(tmp_path, *SMALL, "+trainer.check_val_every_n_epoch=2", "trainer.max_epochs=3")
    assert ["val/loss" in row for row in read_history(tmp_path)] == [False, True, False]


@pytest.mark.parametrize("option", ["+trainer.check_val_every_n_epoch=5", "~callbacks.checkpoint"])
def test_a_run_without_a_best_checkpoint_is_validated_as_it_ends(
    option: str, tmp_path: Path
) -> None:
    metrics = train(tmp_path, *SMALL, option, "trainer.max_epochs=2")
    assert (metrics["best_epoch"], metrics["num_val"]) == (2, 500)
    assert metrics["val/loss"] > 0
    assert metrics == json.loads((tmp_path / "metrics.json").read_text())


def test_a_checkpoint_of_the_users_own_stays_where_it_was_put(tmp_path: Path) -> None:
    own = f"+callbacks.third={THIRD}, dirpath: {tmp_path / 'own'}}}"
    train(tmp_path / "run", *SMALL, own, "trainer.max_epochs=3")
    assert len(list((tmp_path / "own").iterdir())) == 2
    files = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert files == ["best.ckpt", "last.ckpt"]
