"""The feed-forward network that both models of the exercise are instances of."""

from collections.abc import Sequence

from torch import nn

from digits.errors import DigitsError

NUM_PIXELS = 28 * 28
NUM_CLASSES = 10


def mlp(hidden: Sequence[int], dropout_rate: float = 0.0) -> nn.Sequential:
    """Builds a multilayer perceptron: images (batch, 1, 28, 28) to logits (batch, 10).

    Args:
        hidden: widths of the hidden layers, each followed by a ReLU and, where the rate is not 0,
            by dropout.
        dropout_rate: share of hidden units that each training step leaves out, in [0, 1).

    Raises:
        DigitsError: a width is not a positive whole number, or the rate is outside [0, 1).
    """
    if not hidden or any(
        isinstance(width, bool) or not isinstance(width, int) or width < 1 for width in hidden
    ):
        raise DigitsError(
            f"model.hidden must be a list of positive whole numbers, got {list(hidden)}; "
            "try model.hidden=[128,64]"
        )
    if not 0 <= dropout_rate < 1:
        raise DigitsError(
            f"model.dropout_rate must be in [0, 1), got {dropout_rate}; try model.dropout_rate=0.2"
        )
    layers: list[nn.Module] = [nn.Flatten()]
    width_in = NUM_PIXELS
    for width in hidden:
        layers += [nn.Linear(width_in, width), nn.ReLU()]
        if dropout_rate:
            layers.append(nn.Dropout(dropout_rate))
        width_in = width
    return nn.Sequential(*layers, nn.Linear(width_in, NUM_CLASSES))
