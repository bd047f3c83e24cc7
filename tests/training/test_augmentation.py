"""Augmented trainings: what is drawn depends on seed and step alone."""

from pathlib import Path

import pytest
import torch
from runs import SMALL, train

from digits.training.checkpoints import read_checkpoint

AUGMENTED = (*SMALL, "augment=elastic", "trainer.max_epochs=2")


def weights(run: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = read_checkpoint(run / "model.pt")["weights"]
    return found


def equal(run: Path, other: Path) -> bool:
    found = weights(other)
    return all(torch.equal(value, found[name]) for name, value in weights(run).items())


def test_augmentation_changes_the_training(tmp_path: Path) -> None:
    train(tmp_path / "with", *AUGMENTED)
    train(tmp_path / "without", *SMALL, "trainer.max_epochs=2")
    assert not equal(tmp_path / "with", tmp_path / "without")


@pytest.mark.parametrize(
    "option", ["+data.minibatches_per_stack=1", "logger=none", "+data.eval_batch_size=100"]
)
def test_what_is_drawn_depends_on_neither_stacks_nor_pictures(option: str, tmp_path: Path) -> None:
    train(tmp_path / "one", *AUGMENTED)
    train(tmp_path / "other", *AUGMENTED, option)
    assert equal(tmp_path / "one", tmp_path / "other")


def test_validation_and_test_images_stay_as_they_are(tmp_path: Path) -> None:
    # A network that does not learn validates alike, however its training images are changed.
    still = ("optim=sgd", "optim.lr=1e-30", "optim.momentum=0", "optim.nesterov=false")
    options = [each for each in SMALL if not each.startswith("optim")]
    changed = train(tmp_path / "changed", *options, *still, "augment=elastic", "debug=fast")
    same = train(tmp_path / "same", *options, *still, "debug=fast")
    for part in ("val/loss", "test/loss"):
        assert changed[part] == same[part]
