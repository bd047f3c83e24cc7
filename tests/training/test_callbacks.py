"""Checkpoints: when they are written, and that they are written whole or not at all."""

import errno
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from support import SMALL, PowerCutError, cut, train

from digits.model_file import read_checkpoint
from digits.runs import read_history
from digits.training.callbacks import COLUMNS, AtomicCheckpointIO


def test_a_full_disk_leaves_the_old_checkpoint_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 3}, path)
    before = path.read_bytes()

    def writes_half(content: Any, file: BinaryIO) -> None:
        file.write(before[: len(before) // 2])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(torch, "save", writes_half)
    with pytest.raises(OSError, match="No space left"):
        AtomicCheckpointIO().save_checkpoint({"step": 4}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


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
