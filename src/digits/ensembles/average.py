"""The average of several networks' probabilities, as a network."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from digits.data.split import normalize


class NormalizedNetwork(nn.Module):
    """A network that normalizes its images itself.

    Args:
        network: normalized images (batch, 1, 28, 28) to logits (batch, 10).
        mean: subtracted from pixels in [0, 1].
        std: what pixels are then divided by.
    """

    def __init__(self, network: nn.Module, mean: float, std: float) -> None:
        super().__init__()
        self.network, self.mean, self.std = network, mean, std

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (batch, 1, 28, 28), floats in [0, 1], to logits (batch, 10)."""
        # What is normalized is float32; a network in another precision gets images in its own.
        normalized = normalize(images, self.mean, self.std).to(images.dtype)
        logits: Tensor = self.network(normalized)
        return logits


class AverageOfNetworks(nn.Module):
    """The mean of the probabilities that several networks give each class.

    The ensemble is a mixture of its members with equal weights: Lakshminarayanan, Pritzel &
    Blundell, "Simple and scalable predictive uncertainty estimation using deep ensembles", NeurIPS
    2017, section 2.4. The result is the mean's logarithm, so that a softmax gives the mean itself.

    Args:
        members: images (batch, 1, 28, 28) to logits (batch, 10) each; one or more.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (batch, 1, 28, 28) to log-probabilities (batch, 10)."""
        # By logarithms throughout, no probability is rounded to 0, whose logarithm is infinite.
        logs = [F.log_softmax(member(images).float(), dim=1) for member in self.members]
        return torch.stack(logs).logsumexp(dim=0) - math.log(len(logs))
