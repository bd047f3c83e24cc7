"""Which parameters weight decay is for."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor


def decay_groups(parameters: Iterable[Tensor]) -> list[dict[str, Any]]:
    """Divides parameters for an optimizer into those that weight decay shrinks and the others.

    Matrices and convolution kernels are shrunk; vectors, that is biases and the scales and shifts
    of normalization layers, are not, as in Goyal et al., "Accurate, large minibatch SGD: training
    ImageNet in 1 hour", 2017, section 3 (the scales), and He et al., "Bag of tricks for image
    classification with convolutional neural networks", CVPR 2019, section 3.1 (biases as well).

    Args:
        parameters: as `nn.Module.parameters` gives them.

    Returns:
        Parameter groups without the empty ones; the second one's weight decay is 0, everything else
        is left to the optimizer.
    """
    decayed: list[Tensor] = []
    others: list[Tensor] = []
    for parameter in parameters:
        (decayed if parameter.ndim > 1 else others).append(parameter)
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
