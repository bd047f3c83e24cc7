from functools import partial
from typing import Any

import fitting
import numpy as np
import pytest
import torch
from torch import nn

from digits.models import (
    BaselineClassifier,
    Classifier,
    CnnClassifier,
    DropoutClassifier,
    NoiseClassifier,
)
from digits.models.classifiers import limit_norms_after_each_step
from digits.models.schedules import cosine


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


def incoming_norms(model: DropoutClassifier) -> list[np.ndarray]:
    layers = [each for each in model.network.modules() if isinstance(each, nn.Linear)]
    return [np.linalg.norm(layer.weight.detach().double().numpy(), axis=1) for layer in layers]


def test_long_rows_are_projected_onto_the_ball_and_short_ones_stay_to_the_last_bit() -> None:
    weight = torch.randn(60, 20)
    before = weight.double().numpy().copy()
    norms = np.linalg.norm(before, axis=1)
    optimizer = torch.optim.SGD([weight], lr=1.0)  # without a gradient, it changes nothing itself
    limit_norms_after_each_step(optimizer, [weight], max_norm=4.5)
    optimizer.step()
    long = norms > 4.5
    assert 5 < long.sum() < 55
    np.testing.assert_allclose(weight[long], before[long] * (4.5 / norms[long, None]), rtol=1e-5)
    assert (weight.double().numpy()[~long] == before[~long]).all()


def sgd_model(max_norm: float | None, **options: Any) -> DropoutClassifier:
    torch.manual_seed(0)
    sgd = partial(torch.optim.SGD, lr=0.5, momentum=0.9)
    return DropoutClassifier([30, 20], 0.1, max_norm=max_norm, optimizer=sgd, **options)


@pytest.mark.parametrize("schedule", [None, cosine])
def test_a_training_keeps_hidden_units_below_the_limit_and_the_output_free(schedule: Any) -> None:
    limited, free = sgd_model(0.8, schedule=schedule), sgd_model(None, schedule=schedule)
    for model in (limited, free):
        fitting.fit(model, minibatches_per_stack=5)
    *hidden, output = incoming_norms(limited)
    assert max(map(np.max, hidden)) == pytest.approx(0.8, abs=1e-5)
    assert output.max() > 0.8
    assert max(map(np.max, incoming_norms(free)[:-1])) > 0.81
