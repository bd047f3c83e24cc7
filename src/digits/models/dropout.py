"""The exercise's improved network."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from digits.errors import DigitsError
from digits.models.classifier import Classifier
from digits.models.max_norm import limit_after_each_step
from digits.models.mlp import mlp


class DropoutClassifier(Classifier):
    """A wider feed-forward network with dropout behind each hidden layer.

    Dropout: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
        JMLR 2014. Their networks for MNIST drop 0.2 of the pixels and 0.5 of the hidden units, and
        have max-norm constraints.

    Args:
        hidden: widths of the hidden layers.
        dropout_rate: share of hidden units that each training step leaves out, in [0, 1).
        input_dropout_rate: share of pixels that each training step sets to 0, the mean or the
            middle grey by the normalization, in [0, 1).
        max_norm: the largest norm of each hidden unit's incoming weights, above 0; `None` for no
            limit. As the paper says, of hidden units: the output layer has none.
        **training: how to train; see `Classifier`.

    Raises:
        DigitsError: an option is out of its range.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (512, 256),
        dropout_rate: float = 0.2,
        input_dropout_rate: float = 0.0,
        max_norm: float | None = None,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        if max_norm is not None and not 0 < max_norm < float("inf"):
            raise DigitsError(
                f"model.max_norm must be a number above 0 or null, got {max_norm}; "
                "try model.max_norm=2"
            )
        self.max_norm = max_norm
        self.network = mlp(hidden, dropout_rate, input_dropout_rate)

    def configure_optimizers(self) -> Any:
        """Makes the optimizer and its schedule, and has the norms limited after each step."""
        configured = super().configure_optimizers()
        if self.max_norm is not None:
            with_schedule = isinstance(configured, dict)
            optimizer = configured["optimizer"] if with_schedule else configured
            *hidden, _ = (each for each in self.network.modules() if isinstance(each, nn.Linear))
            limit_after_each_step(optimizer, [layer.weight for layer in hidden], self.max_norm)
        return configured
