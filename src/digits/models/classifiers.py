"""The classifiers that `model=...` chooses from: each trains a network of `digits.models.networks`.

Arguments are the network's, of the same names, which is how a saved model knows them, and
`**training` those of `Classifier`. A network of your own is a class like these, in a file of yours:
`_target_: my_networks.MyClassifier` in a file of conf/model.
"""

from collections.abc import Sequence
from typing import Any

from torch import nn

from digits.models.classifier import Classifier
from digits.models.networks import MLP, ConvNet, NoisyMLP
from digits.models.regularization import limit_norms_after_each_step


class BaselineClassifier(Classifier):
    """A simple feed-forward network: the exercise's first."""

    def __init__(self, hidden: Sequence[int] = (128, 64), **training: Any) -> None:
        super().__init__(**training)
        self.network = MLP(hidden, num_classes=self.num_classes)


class DropoutClassifier(Classifier):
    """A wider feed-forward network with dropout: the exercise's improvement.

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR
    2014. Their networks for MNIST drop 0.2 of the pixels and 0.5 of the hidden units, and have
    max-norm constraints.

    `max_norm` is the largest norm of each hidden unit's incoming weights, above 0, or `None`. As in
    the paper, the output layer has no limit.
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
        self.max_norm = max_norm
        self.network = MLP(hidden, dropout_rate, input_dropout_rate, self.num_classes)

    def configure_optimizers(self) -> Any:
        configured = super().configure_optimizers()
        if self.max_norm is not None:
            *hidden, _ = (each for each in self.network.modules() if isinstance(each, nn.Linear))
            weights = [layer.weight for layer in hidden]
            limit_norms_after_each_step(configured["optimizer"], weights, self.max_norm)
        return configured


class NoiseClassifier(Classifier):
    """The baseline network of Rasmus et al. 2015: batch normalization and Gaussian noise."""

    def __init__(
        self,
        hidden: Sequence[int] = (1000, 500, 250, 250, 250),
        noise_std: float = 0.3,
        input_noise_std: float | None = None,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        self.network = NoisyMLP(hidden, noise_std, input_noise_std, self.num_classes)


class CnnClassifier(Classifier):
    """A small convolutional network with batch normalization."""

    def __init__(
        self,
        channels: Sequence[int] = (24, 48, 96),
        dropout_rate: float = 0.2,
        kernel_size: int | Sequence[int] = 3,
        convolutions: int = 2,
        pool: bool = False,
        dense: int = 0,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        self.network = ConvNet(
            channels, dropout_rate, kernel_size, convolutions, pool, dense, self.num_classes
        )
