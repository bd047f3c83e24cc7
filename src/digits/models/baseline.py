"""The exercise's first network."""

from collections.abc import Sequence
from typing import Any

from digits.models.classifier import Classifier
from digits.models.mlp import mlp


class BaselineClassifier(Classifier):
    """A simple feed-forward network.

    Args:
        hidden: widths of the hidden layers.
        **training: how to train; see `Classifier`.
    """

    def __init__(self, hidden: Sequence[int] = (128, 64), **training: Any) -> None:
        super().__init__(**training)
        self.network = mlp(hidden)
