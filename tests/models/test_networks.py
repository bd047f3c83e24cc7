from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
from torch import Tensor, nn

from digits.data.datasets import load_sample
from digits.errors import DigitsError
from digits.models.networks import (
    MLP,
    ChannelsLast,
    ConvNet,
    Ensemble,
    GaussianNoise,
    NoisyBatchNorm,
    NoisyMLP,
    Normalized,
)

IMAGES = load_sample("test").images[:100] / 255


@pytest.mark.parametrize(
    "network", [MLP(), NoisyMLP([5]), ConvNet(), ConvNet([2]), ConvNet([2, 3, 4, 5])]
)
@pytest.mark.parametrize("num_images", [1, 3])
def test_images_become_ten_logits_each(network: nn.Module, num_images: int) -> None:
    assert network.eval()(torch.zeros(num_images, 1, 28, 28)).shape == (num_images, 10)


@pytest.mark.parametrize(
    "network", [MLP((7, 6), 0.1, 0.2), NoisyMLP((5, 4), 0.1), ConvNet((3, 2), 0.4)]
)
def test_a_network_is_made_again_from_its_arguments(network: Any) -> None:
    again = type(network)(**network.arguments)
    again.load_state_dict(network.state_dict())
    assert str(again) == str(network)
    assert again.eval()(IMAGES).equal(network.eval()(IMAGES))


@pytest.mark.parametrize("hidden", [[3], [7, 6, 5]])
def test_the_network_is_that_of_matrix_products(hidden: list[int]) -> None:
    network = MLP(hidden, dropout_rate=0.5).eval()
    images = torch.randn(4, 1, 28, 28)
    weights = list(network.state_dict().values())
    activations = images.reshape(4, 784)
    for index in range(0, len(weights), 2):
        activations = activations @ weights[index].T + weights[index + 1]
        if index + 2 < len(weights):
            activations = activations.clamp(min=0)
    torch.testing.assert_close(network(images), activations)


def test_dropout_of_the_input_sets_pixels_to_0_and_comes_first() -> None:
    network = MLP([5], input_dropout_rate=0.25)
    kinds = [type(layer) for layer in network]
    assert kinds == [nn.Flatten, nn.Dropout, nn.Linear, nn.ReLU, nn.Linear]
    images = torch.rand(200, 1, 28, 28) + 0.5
    found = network.get_submodule("1")(images)
    kept = found != 0
    torch.testing.assert_close(found[kept], images[kept] / 0.75)
    # 156,800 draws, whose share of kept ones has a standard deviation of 0.0011
    assert kept.float().mean().item() == pytest.approx(0.75, abs=6 * 0.0011)


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


def test_the_network_in_evaluation_is_that_of_matrix_products() -> None:
    network = NoisyMLP([5, 4], noise_std=0.3)
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


def test_a_single_image_has_no_variance_and_is_refused_with_a_remedy() -> None:
    network = NoisyMLP([4], 0.3)
    with pytest.raises(DigitsError, match=r"at least two images .*; try another data\.batch_size"):
        network(torch.zeros(1, 1, 28, 28))


def filled(network: nn.Sequential) -> nn.Sequential:
    """Give a network random normalization statistics, scales and shifts."""
    for layer in network:
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.running_mean, layer.bias):
                assert values is not None
                nn.init.normal_(values)
            for values in (layer.running_var, layer.weight):
                assert values is not None
                nn.init.uniform_(values, 0.5, 2)
    return network.eval()


def correlated(images: np.ndarray, kernels: Tensor, stride: int) -> np.ndarray:
    """Convolve one image as networks do, by scipy; with one pixel of zeros around it."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    sums = [
        sum(
            scipy.signal.correlate2d(image, kernel, mode="valid")
            for image, kernel in zip(padded, of_output, strict=True)
        )
        for of_output in kernels.detach().double().numpy()
    ]
    return np.stack(sums)[:, ::stride, ::stride]


def test_the_network_is_that_of_scipys_correlations() -> None:
    network, images = filled(ConvNet([3, 4], dropout_rate=0.5)), torch.randn(2, 1, 28, 28)
    weights = {name: weight.double().numpy() for name, weight in network.state_dict().items()}
    convolutions = [index for index, each in enumerate(network) if isinstance(each, nn.Conv2d)]
    expected = []
    for image in images.double().numpy():
        values = image
        for place, index in enumerate(convolutions):
            layer = network[index]
            assert isinstance(layer, nn.Conv2d)
            values = correlated(values, layer.weight, stride=1 + place % 2)
            mean, variance, scale, shift = (
                weights[f"{index + 1}.{name}"][:, None, None]
                for name in ("running_mean", "running_var", "weight", "bias")
            )
            values = (values - mean) / np.sqrt(variance + 1e-5) * scale + shift
            values = np.maximum(values, 0)
        last = len(network) - 1
        expected.append(weights[f"{last}.weight"] @ values.flatten() + weights[f"{last}.bias"])
    found = network(images).detach().numpy()
    np.testing.assert_allclose(found, np.stack(expected), rtol=1e-3, atol=1e-4)


def test_activations_lie_pixel_by_pixel_and_no_image_is_copied() -> None:
    images = torch.randn(5, 1, 28, 28)
    laid_out = ChannelsLast()(images)
    assert laid_out.equal(images)
    assert laid_out.data_ptr() == images.data_ptr()
    values = ConvNet([3, 4])[:4](images)
    assert values.is_contiguous(memory_format=torch.channels_last)


class Constant(nn.Module):
    """Gives every image the same logits."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), -1)


def test_a_softmax_of_the_result_is_the_mean_of_the_members_probabilities() -> None:
    networks = [MLP([8]), MLP([9, 5]), MLP([3])]
    expected = np.zeros((100, 10))
    for network in networks:
        exponentials = np.exp(network(IMAGES).detach().double().numpy())
        expected += exponentials / exponentials.sum(axis=1, keepdims=True) / 3
    found = Ensemble(networks)(IMAGES).detach()
    np.testing.assert_allclose(found.softmax(1).numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(found.exp().numpy(), expected, atol=1e-6)


def test_probabilities_too_small_for_a_float_have_a_finite_logarithm() -> None:
    found = Ensemble([Constant(0.0, 500.0), Constant(0.0, 300.0)])(IMAGES[:1])
    # log((e^-500 + e^-300) / 2), of which e^-500 is nothing.
    assert found[0, 0].item() == pytest.approx(-300 - np.log(2))
    assert found[0, 1].item() == pytest.approx(0)


def test_each_network_gets_images_in_its_own_normalization() -> None:
    network = MLP([8])
    found = Normalized(network, 0.13, 0.31)(IMAGES)
    assert found.equal(network((IMAGES - 0.13) / 0.31))
