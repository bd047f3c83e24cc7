"""Virtual adversarial training, weight decay and max-norm, against computations written out."""

import copy
from functools import partial
from typing import Any

import fitting
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from digits.data.datasets import load_sample
from digits.models import (
    BaselineClassifier,
    CnnClassifier,
    DropoutClassifier,
    NoiseClassifier,
)
from digits.models.networks import MLP, ConvNet, NoisyMLP
from digits.models.regularization import (
    decay_groups,
    limit_norms_after_each_step,
    virtual_adversarial_loss,
)
from digits.randomness import draw_seed

IMAGES = load_sample("train").images[:40].double() / 255
EPSILON, XI = 2.1, 0.01
ADAM = partial(torch.optim.Adam, lr=0.01)


def unit(values: Tensor) -> Tensor:
    return values / values.pow(2).sum(dim=(1, 2, 3), keepdim=True).sqrt()


def divergence(network: nn.Module, images: Tensor, changed: Tensor) -> Tensor:
    """Return KL(p || q), the mean over the images, written out."""
    p, q = (F.softmax(network(some), dim=1) for some in (images, changed))
    p = p.detach()
    return (p * (p.log() - q.log())).sum(dim=1).mean()


def written_out(network: nn.Module, images: Tensor, std: float, seed: int) -> Tensor:
    """Return the loss as in the paper; the network is a copy whose averages do not matter."""
    torch.manual_seed(seed)
    direction = unit(torch.randn_like(images)).requires_grad_()
    divergence(network, images, images + XI / std * direction).backward()  # type: ignore[no-untyped-call]
    assert direction.grad is not None
    network.zero_grad()
    return divergence(network, images, images + EPSILON / std * unit(direction.grad))


@pytest.mark.parametrize("make", [lambda: MLP([30]), lambda: NoisyMLP([30, 20], 0.0), ConvNet])
@pytest.mark.parametrize("std", [1.0, 0.5])
def test_loss_and_gradients_are_those_of_the_paper(make: Any, std: float) -> None:
    torch.manual_seed(1)
    network, images = make().double(), (IMAGES - 0.3) / std
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    theirs = copy.deepcopy(network)
    expected = written_out(theirs, images, std, seed=5)
    expected.backward()  # type: ignore[no-untyped-call]

    logits, before = network(images), copy.deepcopy(network.state_dict())
    torch.manual_seed(5)
    loss = virtual_adversarial_loss(network, images, logits, EPSILON, 1 / std)
    assert all(each.grad is None for each in network.parameters())
    loss.backward()  # type: ignore[no-untyped-call]

    assert 0.01 < loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for ours, other in zip(network.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, other.grad, rtol=1e-4, atol=1e-7)
    after = network.state_dict()
    assert all(after[name].equal(value) for name, value in before.items())  # the averages, too
    if buffers := list(network.buffers()):  # which are kept again
        network(images)
        assert not buffers[0].equal(before[next(name for name, _ in network.named_buffers())])


def test_an_image_of_which_the_network_is_certain_makes_no_nan() -> None:
    network = MLP([8])
    with torch.no_grad():
        network[-1].bias[3] = 1e4
    loss = virtual_adversarial_loss(network, IMAGES.float(), network(IMAGES.float()), EPSILON)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    grads = [each.grad for each in network.parameters()]
    assert all(grad is not None and grad.isfinite().all() for grad in grads)


@pytest.mark.parametrize("std", [1.0, 0.5])
def test_a_training_step_adds_it_to_the_cross_entropy_with_draws_of_its_step(std: float) -> None:
    torch.manual_seed(0)
    model = BaselineClassifier(
        [20], optimizer=partial(torch.optim.SGD, lr=0.1), vat_epsilon=EPSILON, seed=4
    )
    twin = copy.deepcopy(model.network)
    data = fitting.images(mean=0.2, std=std)
    model.train_on_stacks(data, 1)
    fitting.trainer(max_steps=1).fit(model, data)
    images, labels = next(iter(fitting.images(mean=0.2, std=std).train_dataloader()))
    loss = F.cross_entropy(twin(images), labels)
    (loss + written_out(twin, images, std, draw_seed(4, 0, 0, 0))).backward()  # type: ignore[no-untyped-call]
    for ours, theirs in zip(model.network.parameters(), twin.parameters(), strict=True):
        assert theirs.grad is not None
        torch.testing.assert_close(ours, theirs - 0.1 * theirs.grad, rtol=1e-4, atol=1e-5)


def test_a_network_with_noise_learns_with_it_and_stacks_change_nothing() -> None:
    models = []
    for size in (1, 5):
        torch.manual_seed(0)
        models.append(NoiseClassifier([64, 32], optimizer=ADAM, vat_epsilon=1.0))
        fitted = fitting.fit(models[-1], minibatches_per_stack=size, max_epochs=6)
    assert fitted.callback_metrics["train/accuracy"] > 0.5
    assert fitting.same_weights(models[0].network, models[1].network)


def test_matrices_and_kernels_are_decayed_and_nothing_else() -> None:
    network = CnnClassifier(channels=[3, 4]).network
    decayed, others = decay_groups(list(network.parameters()))
    layers = [each for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    assert {id(each) for each in decayed["params"]} == {id(layer.weight) for layer in layers}
    everything = {id(each) for each in network.parameters()}
    assert {id(each) for each in decayed["params"] + others["params"]} == everything
    assert len(decayed["params"] + others["params"]) == len(everything)


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


def sgd_model(max_norm: float | None) -> DropoutClassifier:
    torch.manual_seed(0)
    sgd = partial(torch.optim.SGD, lr=0.5, momentum=0.9)
    return DropoutClassifier([30, 20], 0.1, max_norm=max_norm, optimizer=sgd)


def test_a_training_keeps_hidden_units_below_the_limit_and_the_output_free() -> None:
    limited, free = sgd_model(0.8), sgd_model(None)
    for model in (limited, free):
        fitting.fit(model, minibatches_per_stack=5)
    *hidden, output = incoming_norms(limited)
    assert max(map(np.max, hidden)) == pytest.approx(0.8, abs=1e-5)
    assert output.max() > 0.8
    assert max(map(np.max, incoming_norms(free)[:-1])) > 0.81
