from functools import partial
from typing import Any

import fitting
import pytest
import torch

from digits.models import (
    BaselineClassifier,
    Classifier,
    CnnClassifier,
    DropoutClassifier,
    NoiseClassifier,
)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (BaselineClassifier, {"hidden": [32]}),
        (DropoutClassifier, {"hidden": [48]}),
        (NoiseClassifier, {"hidden": [64, 32]}),
        (CnnClassifier, {"channels": [4, 8]}),
    ],
)
def test_each_learns(kind: type[Classifier], options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = kind(optimizer=partial(torch.optim.Adam, lr=0.01), **options)
    fitted = fitting.fit(model, minibatches_per_stack=5, max_epochs=6)
    assert fitted.callback_metrics["train/accuracy"] > 0.5


def test_numbers_of_parameters_are_those_of_the_default_widths() -> None:
    def num_parameters(model: Classifier) -> int:
        return sum(each.numel() for each in model.parameters())

    assert num_parameters(BaselineClassifier()) == 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10
    kernels = 9 * (24 + 24 * 24 + 24 * 48 + 48 * 48 + 48 * 96 + 96 * 96)
    normalization = 2 * 2 * (24 + 48 + 96)
    assert num_parameters(CnnClassifier()) == kernels + normalization + 4 * 4 * 96 * 10 + 10
    weights = 784 * 1000 + 1000 * 500 + 500 * 250 + 2 * 250 * 250 + 250 * 10
    normalization = 2 * (1000 + 500 + 3 * 250 + 10)
    assert num_parameters(NoiseClassifier()) == weights + normalization
