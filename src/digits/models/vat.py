"""Virtual adversarial training: a network's answers are kept from changing under small changes."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

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
    norms = [each for each in network.modules() if isinstance(each, _BatchNorm)]
    tracking = [each.track_running_stats for each in norms]
    for each in norms:
        each.track_running_stats = False
    try:
        change = _of_length(XI * unit, torch.randn_like(images)).requires_grad_()
        changed = network(images + change)
        # The gradient of KL with respect to logits; only that with respect to pixels is computed.
        slope = (changed.detach().softmax(dim=1) - probabilities).to(changed.dtype)
        (steepest,) = torch.autograd.grad(changed, change, slope)
        changed = network(images + _of_length(epsilon * unit, steepest))
    finally:
        for each, tracked in zip(norms, tracking, strict=True):
            each.track_running_stats = tracked
    return F.kl_div(changed.log_softmax(dim=1), target, reduction="batchmean", log_target=True)


def _of_length(length: float, changes: Tensor) -> Tensor:
    return length * F.normalize(changes.flatten(1), dim=1).view_as(changes)
