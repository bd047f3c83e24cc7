from typing import Any

import fitting
import numpy as np
import pytest
import scipy.signal
import torch
from torch import Tensor, nn

from digits.errors import DigitsError
from digits.models import CnnClassifier
from digits.models.convnet import ChannelsLast, convnet


def filled(network: nn.Sequential) -> nn.Sequential:
    """Gives a network random normalization statistics, scales and shifts."""
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
    """A convolution as networks have it, of one image, by scipy; one pixel of zeros around."""
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
    network, images = filled(convnet([3, 4], dropout_rate=0.5)), torch.randn(2, 1, 28, 28)
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


@pytest.mark.parametrize("num_images", [1, 3])
@pytest.mark.parametrize("channels", [[2], [8, 16, 32], [2, 3, 4, 5]])
def test_images_become_ten_logits_each(channels: list[int], num_images: int) -> None:
    network = CnnClassifier(channels=channels)
    assert network(torch.zeros(num_images, 1, 28, 28)).shape == (num_images, 10)


def test_the_number_of_parameters_is_that_of_its_channels() -> None:
    kernels = 9 * (24 + 24 * 24 + 24 * 48 + 48 * 48 + 48 * 96 + 96 * 96)
    normalization = 2 * 2 * (24 + 48 + 96)
    expected = kernels + normalization + 4 * 4 * 96 * 10 + 10
    assert sum(each.numel() for each in CnnClassifier().parameters()) == expected == 176_962


@pytest.mark.parametrize("num_images", [1, 5])
def test_activations_lie_pixel_by_pixel_and_no_image_is_copied(num_images: int) -> None:
    images = torch.randn(num_images, 1, 28, 28)
    laid_out = ChannelsLast()(images)
    assert laid_out.equal(images)
    assert laid_out.data_ptr() == images.data_ptr()
    values = convnet([3, 4])[:4](images)
    assert values.is_contiguous(memory_format=torch.channels_last)


def test_dropout_is_in_front_of_the_last_layer_only() -> None:
    kinds = [type(layer) for layer in convnet([2], dropout_rate=0.5)]
    convolution = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert kinds == [ChannelsLast, *convolution, *convolution, nn.Flatten, nn.Dropout, nn.Linear]
    assert not any(isinstance(layer, nn.Dropout) for layer in convnet([2]))


def test_it_learns() -> None:
    model = CnnClassifier([4, 8], optimizer=lambda weights: torch.optim.Adam(weights, 0.01))
    fitted = fitting.fit(model, minibatches_per_stack=5)
    assert fitted.callback_metrics["train/accuracy"] > 0.5


@pytest.mark.parametrize("channels", [[], [0], [-3, 5], [2.5], [True], ["8"]])
def test_channels_that_are_none_are_told_with_a_remedy(channels: list[Any]) -> None:
    with pytest.raises(DigitsError, match=r"model\.channels must be .*; try model\.channels="):
        CnnClassifier(channels=channels)


def test_more_stages_than_the_image_can_be_halved_are_told_with_a_remedy() -> None:
    with pytest.raises(DigitsError, match=r"model\.channels must have 4 numbers at most, .*; try"):
        CnnClassifier(channels=5 * [8])


@pytest.mark.parametrize("dropout_rate", [-0.1, 1.0, float("nan")])
def test_a_rate_that_is_none_is_told_with_a_remedy(dropout_rate: float) -> None:
    with pytest.raises(DigitsError, match=r"model\.dropout_rate must be in \[0, 1\), got"):
        CnnClassifier(dropout_rate=dropout_rate)
