from functools import partial
from typing import Any

import fitting
import numpy as np
import pytest
import torch
from torch import nn

from digits.errors import DigitsError
from digits.models import DropoutClassifier
from digits.models.max_norm import limit_after_each_step, limit_norms
from digits.schedules import cosine


def incoming_norms(model: DropoutClassifier) -> list[np.ndarray]:
    layers = [each for each in model.network.modules() if isinstance(each, nn.Linear)]
    return [np.linalg.norm(layer.weight.detach().double().numpy(), axis=1) for layer in layers]


def test_long_rows_are_projected_onto_the_ball_and_short_ones_stay_to_the_last_bit() -> None:
    weight = torch.randn(60, 20)
    before = weight.double().numpy()
    norms = np.linalg.norm(before, axis=1)
    limit_norms(weight, max_norm=4.5)
    long = norms > 4.5
    assert 5 < long.sum() < 55
    np.testing.assert_allclose(weight[long], before[long] * (4.5 / norms[long, None]), rtol=1e-5)
    assert (weight.double().numpy()[~long] == before[~long]).all()


def test_the_limit_holds_after_the_step_and_no_gradient_sees_it() -> None:
    weight = torch.ones(2, 4, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    limit_after_each_step(optimizer, [weight], max_norm=3.0)
    torch.autograd.backward((weight * torch.tensor([[-3.0], [0.5]])).sum())
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([[1.5] * 4, [0.5] * 4]))
    assert weight.grad is not None
    assert weight.grad[0, 0].item() == -3
    assert weight.is_leaf


def sgd_model(max_norm: float | None, **options: Any) -> DropoutClassifier:
    torch.manual_seed(0)
    sgd = partial(torch.optim.SGD, lr=0.5, momentum=0.9)
    return DropoutClassifier([30, 20], 0.1, max_norm=max_norm, optimizer=sgd, **options)


@pytest.mark.parametrize("schedule", [None, cosine])
@pytest.mark.parametrize("minibatches_per_stack", [1, 5])
def test_a_training_keeps_hidden_units_below_the_limit_and_the_output_free(
    schedule: Any, minibatches_per_stack: int
) -> None:
    limited, free = sgd_model(0.8, schedule=schedule), sgd_model(None, schedule=schedule)
    for model in (limited, free):
        fitting.fit(model, minibatches_per_stack)
    *hidden, output = incoming_norms(limited)
    assert max(map(np.max, hidden)) == pytest.approx(0.8, abs=1e-5)
    assert output.max() > 0.8
    assert max(map(np.max, incoming_norms(free)[:-1])) > 0.81


def test_a_limit_that_is_never_reached_changes_nothing() -> None:
    limited, free = sgd_model(1000.0), sgd_model(None)
    for model in (limited, free):
        fitting.fit(model, 5)
    assert fitting.same_weights(limited.network, free.network)


@pytest.mark.parametrize("max_norm", [0, -1.0, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_told_with_a_remedy(max_norm: float) -> None:
    expected = rf"model\.max_norm must be .*, got {max_norm}; try model\.max_norm="
    with pytest.raises(DigitsError, match=expected):
        DropoutClassifier(max_norm=max_norm)
