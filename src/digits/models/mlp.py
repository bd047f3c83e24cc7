"""The feed-forward network that both models of the exercise are instances of."""

from collections.abc import Sequence

from torch import nn

from digits.models.options import check_rate, check_widths

NUM_PIXELS = 28 * 28
NUM_CLASSES = 10


def mlp(
    hidden: Sequence[int], dropout_rate: float = 0.0, input_dropout_rate: float = 0.0
) -> nn.Sequential:
    """Builds a multilayer perceptron: images (batch, 1, 28, 28) to logits (batch, 10).

    Args:
        hidden: widths of the hidden layers, each followed by a ReLU and, where the rate is not 0,
            by dropout.
        dropout_rate: share of hidden units that each training step leaves out, in [0, 1).
        input_dropout_rate: share of pixels that each training step sets to 0, in [0, 1).

    Raises:
        DigitsError: a width is not a positive whole number, or a rate is outside [0, 1).
    """
    check_widths("model.hidden", hidden, remedy="[128,64]")
    check_rate("model.dropout_rate", dropout_rate)
    check_rate("model.input_dropout_rate", input_dropout_rate)
    layers: list[nn.Module] = [nn.Flatten()]
    if input_dropout_rate:
        layers.append(nn.Dropout(input_dropout_rate))
    width_in = NUM_PIXELS
    for width in hidden:
        layers += [nn.Linear(width_in, width), nn.ReLU()]
        if dropout_rate:
            layers.append(nn.Dropout(dropout_rate))
        width_in = width
    return nn.Sequential(*layers, nn.Linear(width_in, NUM_CLASSES))
