import torch
from torch import nn

from digits.models import CnnClassifier
from digits.models.weight_decay import decay_groups


def test_matrices_and_kernels_are_decayed_and_nothing_else() -> None:
    network = CnnClassifier(channels=[3, 4]).network
    decayed, others = decay_groups(network.parameters())
    layers = [each for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    assert {id(each) for each in decayed["params"]} == {id(layer.weight) for layer in layers}
    everything = {id(each) for each in network.parameters()}
    assert {id(each) for each in decayed["params"] + others["params"]} == everything
    assert len(decayed["params"] + others["params"]) == len(everything)


def test_with_no_gradient_sgd_shrinks_weights_and_leaves_biases() -> None:
    layer = nn.Linear(3, 2)
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    optimizer = torch.optim.SGD(decay_groups(layer.parameters()), lr=0.5, weight_decay=0.1)
    layer.weight.grad, layer.bias.grad = torch.zeros(2, 3), torch.zeros(2)
    optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), weight * (1 - 0.5 * 0.1))
    assert layer.bias.equal(bias)


def test_an_empty_group_is_left_out() -> None:
    assert len(decay_groups(nn.Linear(3, 2, bias=False).parameters())) == 1
