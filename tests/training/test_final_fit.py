"""`data.val_size=0`: a final fit on all training images, which nothing validates."""

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from kills import differences
from support import SMALL, PowerCutError, cut, events, train

import digits
from digits.__main__ import main
from digits.data.datasets import load_sample
from digits.model_file import read_checkpoint
from digits.run_directory import read_history

OPTIONS = (*SMALL, "data.val_size=0", "trainer.max_epochs=3")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a finished run and what it printed."""
    run_dir = tmp_path_factory.mktemp("runs") / "final"
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as stdout:
        patch.setenv("COLUMNS", "200")
        train(run_dir, *OPTIONS, "data.train_size=null", "norm=exact")
    return run_dir, stdout.getvalue()


def test_the_network_is_that_of_the_last_epoch_on_all_images(told: tuple[Path, str]) -> None:
    run_dir, stdout = told
    best, last = (
        read_checkpoint(run_dir / "checkpoints" / f"{name}.ckpt") for name in ("best", "last")
    )
    assert best["global_step"] == last["global_step"] == 3 * 63  # 4,000 images by 64
    saved = torch.load(run_dir / "model.pt", weights_only=True)["weights"]
    for name, weight in saved.items():
        for checkpoint in (best, last):
            assert checkpoint["state_dict"][f"network.{name}"].equal(weight)
    assert "3 epochs in " in stdout
    assert "not validated: the network is that of the last epoch" in stdout


def test_nothing_is_said_of_validation_anywhere(told: tuple[Path, str]) -> None:
    run_dir, stdout = told
    metrics = json.loads((run_dir / "metrics.json").read_text())
    assert (metrics["num_train"], metrics["num_val"], metrics["best_epoch"]) == (4000, 0, 3)
    assert metrics["val/accuracy"] is metrics["val/loss"] is None
    test = load_sample("test")
    logits = digits.load(run_dir)(test.images)
    loss = F.cross_entropy(logits, test.labels).item()
    assert metrics["test/loss"] == pytest.approx(loss, rel=1e-5)
    assert all(
        {"train/loss"} <= row.keys() and "val/loss" not in row for row in read_history(run_dir)
    )
    tags = events(run_dir).Tags()["scalars"]
    assert "train/loss" in tags and not [tag for tag in tags if "val" in tag]
    assert "validation" not in stdout


def test_there_is_no_part_to_validate_on_but_the_test(
    told: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(told[0]), "--part", "val"]) == 1
    assert "none is left to validate on; try --part test" in capsys.readouterr().err
    assert main(["evaluate", str(told[0])]) == 0
    assert "those in metrics.json, to the last digit" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [
        (),
        pytest.param(("callbacks=ema",), marks=pytest.mark.slow),
        pytest.param(("+trainer.check_val_every_n_epoch=2",), marks=pytest.mark.slow),
        pytest.param(("+trainer.max_steps=27",), marks=pytest.mark.slow),
    ],
)
def test_a_power_cut_changes_nothing(options: tuple[str, ...], tmp_path: Path) -> None:
    options = ("trainer.limit_train_batches=10", *options)
    train(tmp_path / "whole", *OPTIONS, *options)
    with pytest.raises(PowerCutError):
        train(tmp_path / "cut", *OPTIONS, *options, cut(17))
    train(tmp_path / "cut", *OPTIONS, *options, "resume=must")
    assert differences(tmp_path / "whole", tmp_path / "cut") == []
    best = read_checkpoint(tmp_path / "cut" / "checkpoints" / "best.ckpt")
    assert best["global_step"] == (27 if "max_steps" in str(options) else 30)


def test_more_epochs_replace_the_network(tmp_path: Path) -> None:
    train(tmp_path, *OPTIONS, "trainer.max_epochs=1")
    metrics = train(tmp_path, *OPTIONS, "trainer.max_epochs=2")
    best = read_checkpoint(tmp_path / "checkpoints" / "best.ckpt")
    assert (best["global_step"], metrics["best_epoch"]) == (20, 2)


def test_without_a_test_nothing_is_measured_and_the_same_command_tests_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = train(tmp_path / "a", *OPTIONS, "test=false")
    assert metrics["val/accuracy"] is metrics["test/accuracy"] is None
    printed = capsys.readouterr().out
    assert "not tested" in printed and "not validated" in printed
    whole = train(tmp_path / "b", *OPTIONS)
    tested = train(tmp_path / "a", *OPTIONS)
    assert tested["test/loss"] == whole["test/loss"] > 0


def test_a_schedule_can_look_at_the_training_loss(tmp_path: Path) -> None:
    plateau = "schedule._target_=torch.optim.lr_scheduler.ReduceLROnPlateau"
    waits = ("+schedule.monitor=train/loss", "+schedule.patience=0", "+schedule.threshold=100")
    train(tmp_path, *OPTIONS, plateau, *waits, "optim.lr=0.1", "+schedule.threshold_mode=abs")
    # No loss falls by 100: a tenth after each epoch but the first. A row has its epoch's rate.
    rates = [row["lr"] for row in read_history(tmp_path)]
    assert rates == pytest.approx([0.1, 0.1, 0.01])
