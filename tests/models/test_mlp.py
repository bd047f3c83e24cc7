from typing import Any

import pytest
import torch
from torch import nn

from digits.data.batches import Batch
from digits.errors import DigitsError
from digits.models import BaselineClassifier, Classifier, DropoutClassifier
from digits.models.mlp import mlp


@pytest.mark.parametrize("model", [BaselineClassifier(), DropoutClassifier(), mlp([5])])
@pytest.mark.parametrize("num_images", [1, 3])
def test_images_become_ten_logits_each(model: nn.Module, num_images: int) -> None:
    assert model(torch.zeros(num_images, 1, 28, 28)).shape == (num_images, 10)


@pytest.mark.parametrize("hidden", [[3], [128, 64], [7, 6, 5]])
def test_the_network_is_that_of_matrix_products(hidden: list[int]) -> None:
    network = mlp(hidden, dropout_rate=0.5).eval()
    images = torch.randn(4, 1, 28, 28)
    weights = list(network.state_dict().values())
    activations = images.reshape(4, 784)
    for index in range(0, len(weights), 2):
        activations = activations @ weights[index].T + weights[index + 1]
        if index + 2 < len(weights):
            activations = activations.clamp(min=0)
    torch.testing.assert_close(network(images), activations)


def test_the_number_of_parameters_is_that_of_its_widths() -> None:
    expected = 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10
    assert sum(weight.numel() for weight in mlp([128, 64]).parameters()) == expected


@pytest.mark.parametrize("dropout_rate", [0.1, 0.5, 0.9])
def test_dropout_in_training_gives_0_or_x_over_1_minus_p(dropout_rate: float) -> None:
    network = mlp([400], dropout_rate)
    dropout = next(layer for layer in network if isinstance(layer, nn.Dropout))
    hidden = torch.rand(500, 400) + 0.5
    found = dropout(hidden)
    kept = found != 0
    torch.testing.assert_close(found[kept], hidden[kept] / (1 - dropout_rate))
    # 200,000 draws, whose share of kept ones has a standard deviation of at most 0.0012
    assert kept.float().mean().item() == pytest.approx(1 - dropout_rate, abs=6 * 0.0012)


def test_dropout_of_the_input_sets_pixels_to_0_and_comes_first() -> None:
    network = DropoutClassifier(hidden=[5], dropout_rate=0.0, input_dropout_rate=0.25).network
    kinds = [type(layer) for layer in network.children()]
    assert kinds == [nn.Flatten, nn.Dropout, nn.Linear, nn.ReLU, nn.Linear]
    images = torch.rand(200, 1, 28, 28) + 0.5
    found = network.get_submodule("1")(images)
    kept = found != 0
    torch.testing.assert_close(found[kept], images[kept] / 0.75)
    # 156,800 draws, whose share of kept ones has a standard deviation of 0.0011
    assert kept.float().mean().item() == pytest.approx(0.75, abs=6 * 0.0011)


def test_dropout_in_evaluation_does_nothing() -> None:
    with_dropout, without = mlp([20, 10], 0.5, input_dropout_rate=0.2), mlp([20, 10])
    own = [weight for _, weight in with_dropout.named_parameters()]
    with torch.no_grad():
        for weight, other in zip(without.parameters(), own, strict=True):
            weight.copy_(other)
    images = torch.randn(8, 1, 28, 28)
    assert with_dropout.eval()(images).equal(without.eval()(images))


def test_each_hidden_layer_has_dropout_behind_it_and_the_last_layer_has_none() -> None:
    kinds = [type(layer) for layer in DropoutClassifier(hidden=[5, 4]).network.children()]
    hidden = [nn.Linear, nn.ReLU, nn.Dropout]
    assert kinds == [nn.Flatten, *hidden, *hidden, nn.Linear]


def test_a_rate_of_0_is_no_dropout_layer_at_all() -> None:
    assert not any(isinstance(layer, nn.Dropout) for layer in mlp([5], 0.0))


@pytest.mark.parametrize("hidden", [[], [0], [-3, 5], [2.5], [True], ["128"], [128, None]])
@pytest.mark.parametrize("model", [BaselineClassifier, DropoutClassifier])
def test_widths_that_are_none_are_told_with_a_remedy(
    model: type[Classifier], hidden: list[Any]
) -> None:
    arguments: dict[str, Any] = {"hidden": hidden}
    with pytest.raises(DigitsError, match=r"model\.hidden must be .*, got .*; try model\.hidden="):
        model(**arguments)


@pytest.mark.parametrize("dropout_rate", [-0.1, 1.0, 1.5, float("nan")])
def test_a_rate_that_is_none_is_told_with_a_remedy(dropout_rate: float) -> None:
    expected = rf"model\.dropout_rate must be in \[0, 1\), got {dropout_rate}; try model\.dropout"
    with pytest.raises(DigitsError, match=expected):
        DropoutClassifier(dropout_rate=dropout_rate)
    with pytest.raises(DigitsError, match=expected.replace("dropout", "input_dropout")):
        DropoutClassifier(input_dropout_rate=dropout_rate)


def test_minibatches_are_the_stack_cut_without_a_copy() -> None:
    stack = Batch(torch.rand(10, 1, 28, 28), torch.arange(10), batch_size=4)
    minibatches = list(stack.minibatches())
    assert [len(labels) for _, labels in minibatches] == [4, 4, 2]
    assert torch.cat([images for images, _ in minibatches]).equal(stack.images)
    assert torch.cat([labels for _, labels in minibatches]).equal(stack.labels)
    assert minibatches[1][0].data_ptr() == stack.images[4].data_ptr()
