"""A feed-forward network with noise in place of dropout."""

from collections.abc import Sequence
from typing import Any

from digits.models.classifier import Classifier
from digits.models.noisy_mlp import noisy_mlp


class NoiseClassifier(Classifier):
    """The baseline network of Rasmus et al. 2015: batch normalization and Gaussian noise.

    Args:
        hidden: widths of the hidden layers.
        noise_std: standard deviation of the noise at the input and in each layer, at least 0.
        **training: how to train; see `Classifier`.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (1000, 500, 250, 250, 250),
        noise_std: float = 0.3,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        self.network = noisy_mlp(hidden, noise_std)
