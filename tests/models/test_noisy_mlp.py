import itertools
from typing import Any

import fitting
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from digits.errors import DigitsError
from digits.models import NoiseClassifier
from digits.models.noisy_mlp import GaussianNoise, NoisyBatchNorm, noisy_mlp


def random_affine(layer: NoisyBatchNorm) -> NoisyBatchNorm:
    nn.init.uniform_(layer.weight, 0.5, 2)
    nn.init.normal_(layer.bias)
    return layer


def test_noise_has_its_standard_deviation_in_training_and_there_is_none_in_evaluation() -> None:
    layer, values = GaussianNoise(0.3), torch.randn(500, 400)
    noise = layer(values) - values
    # 200,000 draws: mean and standard deviation are known to 0.0007 and 0.0005
    assert noise.mean().item() == pytest.approx(0, abs=0.004)
    assert noise.std().item() == pytest.approx(0.3, abs=0.003)
    assert layer.eval()(values).equal(values)


def test_without_noise_it_is_torchs_batch_normalization_and_its_statistics() -> None:
    layer, torchs = random_affine(NoisyBatchNorm(7, noise_std=0.0)), nn.BatchNorm1d(7)
    torchs.load_state_dict(layer.state_dict())
    for _ in range(3):
        values = torch.randn(20, 7) * 3 + 1
        torch.testing.assert_close(layer(values), torchs(values))
    assert layer.running_mean is not None and layer.running_var is not None
    torch.testing.assert_close(layer.running_mean, torchs.running_mean)
    torch.testing.assert_close(layer.running_var, torchs.running_var)
    assert layer.eval()(values).equal(torchs.eval()(values))


def test_noise_comes_behind_the_normalization_and_before_the_scale() -> None:
    layer = random_affine(NoisyBatchNorm(300, noise_std=0.3))
    values = torch.randn(400, 300) * 5 - 2
    noiseless = random_affine(NoisyBatchNorm(300, noise_std=0.0))
    noiseless.load_state_dict(layer.state_dict())
    noise = (layer(values) - noiseless(values)).detach()
    # of 400 draws each: the standard deviation of the scaled noise is known to 3.5 %
    torch.testing.assert_close(noise.std(0), 0.3 * layer.weight.detach(), rtol=0.2, atol=0)
    assert (noise / layer.weight.detach()).std().item() == pytest.approx(0.3, rel=0.01)


def test_the_gradient_is_that_of_the_formula() -> None:
    layer = random_affine(NoisyBatchNorm(6, noise_std=0.5)).double()
    values = torch.randn(9, 6, dtype=torch.float64, requires_grad=True)

    def with_the_same_noise(values: Tensor, *_: Tensor) -> Tensor:
        torch.manual_seed(0)
        found: Tensor = layer(values)
        return found

    assert torch.autograd.gradcheck(with_the_same_noise, (values, layer.weight, layer.bias))


def test_the_network_in_evaluation_is_that_of_matrix_products() -> None:
    network = noisy_mlp([5, 4], noise_std=0.3)
    for layer in network:
        if isinstance(layer, NoisyBatchNorm):
            random_affine(layer)
            assert layer.running_mean is not None and layer.running_var is not None
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    images = torch.randn(3, 1, 28, 28)
    values = images.double().numpy().reshape(3, 784)
    layers = [each for each in network.eval() if isinstance(each, nn.Linear | NoisyBatchNorm)]
    for place in range(0, len(layers), 2):
        linear, normalization = (
            {name: value.double().numpy() for name, value in layer.state_dict().items()}
            for layer in layers[place : place + 2]
        )
        values = values @ linear["weight"].T
        values = (values - normalization["running_mean"]) / np.sqrt(
            normalization["running_var"] + 1e-5
        )
        values = values * normalization["weight"] + normalization["bias"]
        if place + 2 < len(layers):
            values = np.maximum(values, 0)
    np.testing.assert_allclose(network(images).detach().numpy(), values, rtol=1e-3, atol=1e-4)


def test_layers_are_as_in_the_paper() -> None:
    kinds = [type(layer) for layer in NoiseClassifier(hidden=[5, 4]).network.children()]
    layer = [nn.Linear, NoisyBatchNorm]
    assert kinds == [nn.Flatten, GaussianNoise, *layer, nn.ReLU, *layer, nn.ReLU, *layer]


def test_the_number_of_parameters_is_that_of_its_widths() -> None:
    widths = [784, 1000, 500, 250, 250, 250, 10]
    weights = sum(width * following for width, following in itertools.pairwise(widths))
    expected = weights + 2 * sum(widths[1:])
    assert sum(each.numel() for each in NoiseClassifier().parameters()) == expected


def test_it_learns() -> None:
    options: dict[str, Any] = {"optimizer": lambda weights: torch.optim.Adam(weights, 0.01)}
    fitted = fitting.fit(NoiseClassifier([64, 32], **options), minibatches_per_stack=5)
    assert fitted.callback_metrics["train/accuracy"] > 0.6


def test_a_single_image_has_no_variance_and_is_told_with_a_remedy() -> None:
    network = noisy_mlp([4], 0.3)
    with pytest.raises(DigitsError, match=r"two images or more .*; try another data\.batch_size"):
        network(torch.zeros(1, 1, 28, 28))
    assert network.eval()(torch.zeros(1, 1, 28, 28)).shape == (1, 10)


@pytest.mark.parametrize("hidden", [[], [0], [2.5], [True]])
def test_widths_that_are_none_are_told_with_a_remedy(hidden: list[Any]) -> None:
    with pytest.raises(DigitsError, match=r"model\.hidden must be .*; try model\.hidden="):
        NoiseClassifier(hidden=hidden)


@pytest.mark.parametrize("noise_std", [-0.1, float("nan"), float("inf")])
def test_noise_that_is_none_is_told_with_a_remedy(noise_std: float) -> None:
    expected = rf"model\.noise_std must be .*, got {noise_std}; try model\.noise_std=0\.3"
    with pytest.raises(DigitsError, match=expected):
        NoiseClassifier(noise_std=noise_std)
