"""What keeps a network from overfitting: virtual adversarial training, weight decay, max-norm."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from digits.models.networks import batch_norm_layers

XI = 0.01
"""Length of the step, in pixels' units, by which the direction of the largest change is found."""


def virtual_adversarial_loss(
    network: nn.Module, images: Tensor, logits: Tensor, epsilon: float, unit: float = 1.0
) -> Tensor:
    """Return how far the worst small change of each image moves a network's probabilities.

    Miyato et al., "Distributional smoothing with virtual adversarial training", ICLR 2016, eq. 4
    to 11, with one power iteration: KL(p || q), the mean over the images, where p is what the
    network says of an image, taken as given, and q what it says of the image changed by `epsilon`
    in the direction in which KL grows fastest. Each pass draws its own dropout and noise.
    Batch normalization takes each pass's own statistics, and its running averages stay.

    Args:
        network: maps images to logits, float (n, classes).
        images: normalized, float (n, ...).
        logits: the network's, of these images.
        epsilon: the L2 norm of the change, in units of pixels in [0, 1].
        unit: what a change of 1 in such a pixel is in `images`: 1 / std.
    """
    target = logits.detach().log_softmax(dim=1)
    probabilities = target.exp()
    tracking = batch_norm_layers(network)
    for each in tracking:
        each.track_running_stats = False
    try:
        change = _of_length(XI * unit, torch.randn_like(images)).requires_grad_()
        changed = network(images + change)
        # The gradient of KL with respect to logits; only that with respect to pixels is computed.
        slope = (changed.detach().softmax(dim=1) - probabilities).to(changed.dtype)
        (steepest,) = torch.autograd.grad(changed, change, slope)
        changed = network(images + _of_length(epsilon * unit, steepest))
    finally:
        for each in tracking:
            each.track_running_stats = True
    return F.kl_div(changed.log_softmax(dim=1), target, reduction="batchmean", log_target=True)


def _of_length(length: float, changes: Tensor) -> Tensor:
    return length * F.normalize(changes.flatten(1), dim=1).view_as(changes)


def decay_groups(parameters: Sequence[Tensor]) -> list[dict[str, Any]]:
    """Return groups of parameters for an optimizer: those that weight decay shrinks, the others.

    Matrices and convolution kernels are shrunk; vectors, that is biases and the scales and shifts
    of normalization layers, are not, as in He et al., "Bag of tricks for image classification with
    convolutional neural networks", CVPR 2019, section 3.1.
    """
    return [
        {"params": [each for each in parameters if each.ndim > 1]},
        {"params": [each for each in parameters if each.ndim <= 1], "weight_decay": 0.0},
    ]


def limit_norms_after_each_step(
    optimizer: Optimizer, weights: Sequence[Tensor], max_norm: float
) -> None:
    """Make an optimizer scale each row whose L2 norm is above a limit back to it, after each step.

    Srivastava et al. 2014, section 5.1: ||w|| <= c for the weight vector w incident on each hidden
    unit, which is projected onto the surface of the ball of radius c whenever it has left it. The
    weights are (units, inputs) each, as `nn.Linear` has them.
    """

    @torch.no_grad()
    def limit(*_: object) -> None:
        for weight in weights:
            weight.renorm_(p=2, dim=0, maxnorm=max_norm)

    optimizer.register_step_post_hook(limit)
