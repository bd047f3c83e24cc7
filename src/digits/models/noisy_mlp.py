"""A feed-forward network with batch normalization whose layers are disturbed in training."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from digits.errors import DigitsError
from digits.models.mlp import NUM_CLASSES, NUM_PIXELS
from digits.models.options import check_widths


class GaussianNoise(nn.Module):
    """Adds Gaussian noise in training, and nothing in evaluation.

    Args:
        std: its standard deviation, at least 0.
    """

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, values: Tensor) -> Tensor:
        """Maps values of any shape to the same ones with noise."""
        return values + self.std * torch.randn_like(values) if self.training else values


class NoisyBatchNorm(nn.BatchNorm1d):
    """Batch normalization with Gaussian noise before the learned scale and shift.

    Rasmus et al., "Semi-supervised learning with ladder networks", NeurIPS 2015, algorithm 1:
    gamma * (BN(x) + noise + beta). Departures: beta is added behind gamma, as everywhere else,
    which is the same function of other numbers; and gamma is there in front of each ReLU as well,
    where the next layer's weights could take its place.

    Args:
        width: numbers in a row.
        noise_std: the noise's standard deviation, where that of the normalized values is 1.
    """

    def __init__(self, width: int, noise_std: float) -> None:
        super().__init__(width)
        self.noise_std = noise_std

    def forward(self, values: Tensor) -> Tensor:
        """Maps values (batch, width) to the same shape.

        Raises:
            DigitsError: a training batch is a single row, which has no variance.
        """
        if not self.training:
            return super().forward(values)
        if len(values) == 1:
            raise DigitsError(
                "batch normalization needs two images or more in each minibatch, and the last one "
                "of an epoch has 1; try another data.batch_size"
            )
        normalized = F.batch_norm(
            values, self.running_mean, self.running_var, training=True, eps=self.eps
        )
        noisy = normalized.add_(torch.randn_like(values), alpha=self.noise_std)
        return torch.addcmul(self.bias, noisy, self.weight)


def noisy_mlp(hidden: Sequence[int], noise_std: float) -> nn.Sequential:
    """Builds the ladder network's encoder: images (batch, 1, 28, 28) to logits (batch, 10).

    Noise is added to the input, and in each layer, the last one included, behind the normalization
    and before scale and shift. No linear layer has a bias, which the normalization would take away.

    Args:
        hidden: widths of the hidden layers, each followed by a ReLU.
        noise_std: standard deviation of all the noise, at least 0; at the input in units of the
            normalized pixels.

    Raises:
        DigitsError: a width is not a positive whole number, or the noise is negative.
    """
    check_widths("model.hidden", hidden, remedy="[1000,500,250,250,250]")
    if not 0 <= noise_std < float("inf"):
        raise DigitsError(
            f"model.noise_std must be a number of at least 0, got {noise_std}; "
            "try model.noise_std=0.3"
        )
    layers: list[nn.Module] = [nn.Flatten(), GaussianNoise(noise_std)]
    width_in = NUM_PIXELS
    for width in (*hidden, NUM_CLASSES):
        layers += [nn.Linear(width_in, width, bias=False), NoisyBatchNorm(width, noise_std)]
        layers.append(nn.ReLU())
        width_in = width
    return nn.Sequential(*layers[:-1])
