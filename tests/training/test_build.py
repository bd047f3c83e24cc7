"""Model, data and trainer as the configuration says, or one line that says why not."""

from pathlib import Path

import pytest
import torch
from support import SMALL, train
from torch import Tensor, nn

from digits.errors import DigitsError
from digits.models import Classifier

OWN = ("data=sample", "trainer=cpu", "logger=none", "~model.hidden", "trainer.max_epochs=1")


class OwnClassifier(Classifier):
    """A linear network; subclasses have mistakes in them."""

    def __init__(self, **training: object) -> None:
        super().__init__(**training)  # type: ignore[arg-type]
        self.network = self.make()

    def make(self) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


class FlatlessClassifier(OwnClassifier):
    """Takes vectors."""

    def make(self) -> nn.Module:
        return nn.Linear(784, 10)


class NineClassifier(OwnClassifier):
    """Knows nine digits."""

    def make(self) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 9))


class TwoClassifier(OwnClassifier):
    """Answers with a pair."""

    def make(self) -> nn.Module:
        class Two(nn.Module):
            def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
                return images, images

        return Two()


def test_a_network_of_ones_own_trains(tmp_path: Path) -> None:
    metrics = train(tmp_path / "a", *OWN, f"model._target_={__name__}.OwnClassifier")
    assert metrics["num_parameters"] == 7850
    assert metrics["test/accuracy"] > 0.5  # one in ten is chance


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("FlatlessClassifier", r"cannot take images of shape \(2, 1, 28, 28\): .*try nn.Flatten"),
        ("NineClassifier", r"makes \(2, 9\) of two images, not \(2, 10\); try nn.Linear"),
        ("TwoClassifier", r"makes tuple of two images"),
    ],
)
def test_a_network_with_a_mistake_is_told_before_it_trains(
    name: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(DigitsError, match=f"{name}.*{told}") as caught:
        train(tmp_path / "a", *OWN, f"model._target_={__name__}.{name}")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a" / "metrics.csv").exists()


def test_compiling_without_a_compiler_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DigitsError, match=r"no no-such-compiler .* try model\.compile=false"):
        train(tmp_path / "a", *SMALL, "model.compile=true")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU")
def test_a_gpu_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DigitsError, match="finds no CUDA GPU; try trainer=cpu"):
        train(tmp_path / "a", *SMALL, "trainer=gpu")
