import numpy as np
import pytest
import torch
from torch import Tensor, nn

from digits.data.sample import load_sample
from digits.ensembles.average import AverageOfNetworks, NormalizedNetwork
from digits.models.mlp import mlp

IMAGES = load_sample("test").images[:100] / 255


class Constant(nn.Module):
    """Gives every image the same logits."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), -1)


def test_a_softmax_of_the_result_is_the_mean_of_the_members_probabilities() -> None:
    networks = [mlp([8]), mlp([9, 5]), mlp([3])]
    expected = np.zeros((100, 10))
    for network in networks:
        exponentials = np.exp(network(IMAGES).detach().double().numpy())
        expected += exponentials / exponentials.sum(axis=1, keepdims=True) / 3
    found = AverageOfNetworks(networks)(IMAGES).detach()
    np.testing.assert_allclose(found.softmax(1).numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(found.exp().numpy(), expected, atol=1e-6)


def test_probabilities_too_small_for_a_float_have_a_finite_logarithm() -> None:
    found = AverageOfNetworks([Constant(0.0, 500.0), Constant(0.0, 300.0)])(IMAGES[:1])
    # log((e^-500 + e^-300) / 2), of which e^-500 is nothing.
    assert found[0, 0].item() == pytest.approx(-300 - np.log(2))
    assert found[0, 1].item() == pytest.approx(0)


def test_probabilities_are_averaged_and_not_logits() -> None:
    networks = [Constant(20.0, 0.0), Constant(0.0, 3.0), Constant(0.0, 3.0)]
    mean_logits = torch.stack([each(IMAGES[:1]) for each in networks]).mean(0)
    assert mean_logits.argmax() == 0
    assert AverageOfNetworks(networks)(IMAGES[:1]).argmax() == 1


def test_a_network_alone_keeps_its_classes() -> None:
    network = mlp([8])
    found = AverageOfNetworks([network])(IMAGES)
    torch.testing.assert_close(found, network(IMAGES).log_softmax(1))
    assert found.argmax(1).equal(network(IMAGES).argmax(1))


def test_each_network_gets_images_in_its_own_normalization() -> None:
    network = mlp([8])
    found = NormalizedNetwork(network, 0.13, 0.31)(IMAGES)
    assert found.equal(network((IMAGES - 0.13) / 0.31))
