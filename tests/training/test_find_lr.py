"""The learning-rate range test, against a loop written by hand."""

import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support import SMALL

from digits.__main__ import main
from digits.app import compose
from digits.training.build import make_datamodule, make_model
from digits.training.find_lr import find_lr


def test_each_step_is_a_runs_with_a_rate_that_grows_exponentially() -> None:
    plain, rates = find_lr(compose(*SMALL, "seed=3"), 1e-4, 1e-1, 25), np.geomspace(1e-4, 1e-1, 25)
    config = compose(*SMALL, "seed=3")
    torch.manual_seed(3)
    datamodule, model = make_datamodule(config, 3), make_model(config, 3)
    optimizer = torch.optim.Adam(model.parameters())
    losses = []
    for (images, labels), rate in zip(datamodule.train_dataloader(), rates, strict=False):
        optimizer.param_groups[0]["lr"] = rate
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert len(losses) == 10  # an epoch, of the two and a half
    np.testing.assert_allclose(plain.rates, rates, rtol=1e-6)
    np.testing.assert_allclose(plain.losses[:10], losses, rtol=1e-5)


def test_augmentation_is_in_it_and_callbacks_and_schedule_are_not() -> None:
    base = [each for each in SMALL if not each.startswith("schedule")]
    plain, augmented, others = (
        find_lr(compose(*base, *options), 1e-4, 1e-1, 20).losses.tolist()
        for options in ((), ("augment=affine",), ("callbacks=ema", "schedule=onecycle"))
    )
    assert plain[0] != augmented[0] and plain == others


@pytest.mark.parametrize("options", [(), ("optim=sgd",)])
def test_few_steps_suggest_about_what_many_do(options: tuple[str, ...]) -> None:
    few, many = (
        find_lr(compose("data=sample", "trainer=cpu", *options), 1e-6, 10, steps).suggested
        for steps in (30, 150)
    )
    assert many / 10 < few < 10 * many


def test_it_ends_when_the_loss_diverges() -> None:
    for option in ("optim=adam", "optim=sgd"):
        overrides = [each for each in SMALL if not each.startswith("optim")]
        found = find_lr(compose(*overrides, option), 1e-4, 1e6, 100)
        assert len(found.losses) < 100 and np.isfinite(found.smooth_losses).all()
        assert 1e-4 < found.suggested < 1


def test_the_verb_prints_what_to_type_and_leaves_a_picture_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["find-lr", *SMALL, "optim.lr=3", "--steps", "60"]) == 0
    shown = capsys.readouterr().out
    *_, line = shown.splitlines()
    assert line.startswith("try ") and "optim.lr=3 " not in line
    assert [str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*") if each.is_file()] == [
        "outputs/find-lr/lr.png"
    ]
    rate = line.rpartition("optim.lr=")[2]
    given = [each for each in shlex.split(line) if "=" in each]
    assert compose(*given).optim.lr == float(rate)
    assert f"most steeply at {rate}: outputs/find-lr/lr.png" in shown
    for arguments, told in {
        ("model=dropuot",): "error: model=dropuot does not exist; try model=dropout\n",
        ("--low", "2", "--high", "1"): "error: --low must be above 0 and below --high, got 2.0 and",
        ("--steps", "3"): "error: --steps must be at least 20, got 3\n",
        (
            *SMALL,
            "--low",
            "1e-12",
            "--high",
            "1e-10",
            "--steps",
            "20",
        ): "the loss does not fall",
    }.items():
        assert main(["find-lr", *arguments]) == 1
        assert told in capsys.readouterr().err
