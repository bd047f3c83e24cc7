"""The exercise's improved network."""

from collections.abc import Sequence
from typing import Any

from digits.models.classifier import Classifier
from digits.models.mlp import mlp


class DropoutClassifier(Classifier):
    """A wider feed-forward network with dropout behind each hidden layer.

    Dropout: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
        JMLR 2014.

    Args:
        hidden: widths of the hidden layers.
        dropout_rate: share of hidden units that each training step leaves out, in [0, 1).
        **training: how to train; see `Classifier`.
    """

    def __init__(
        self, hidden: Sequence[int] = (512, 256), dropout_rate: float = 0.2, **training: Any
    ) -> None:
        super().__init__(**training)
        self.network = mlp(hidden, dropout_rate)
