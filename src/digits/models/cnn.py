"""A network that sees which pixels are neighbours."""

from collections.abc import Sequence
from typing import Any

from digits.models.classifier import Classifier
from digits.models.convnet import convnet


class CnnClassifier(Classifier):
    """A small convolutional network with batch normalization.

    Args:
        channels: of each stage of two convolutions.
        dropout_rate: share of the last stage's values that each training step leaves out, in [0,
            1).
        **training: how to train; see `Classifier`.
    """

    def __init__(
        self, channels: Sequence[int] = (24, 48, 96), dropout_rate: float = 0.2, **training: Any
    ) -> None:
        super().__init__(**training)
        self.network = convnet(channels, dropout_rate)
