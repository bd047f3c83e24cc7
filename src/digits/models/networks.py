"""The networks: plain torch modules that map images (batch, 1, 28, 28) to logits (batch, classes).

Each is made from plain keyword arguments: a saved model names its network's class, these and the
data's classes, and is loaded without Lightning. `digits.models.classifiers` trains them.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from digits.data.datasets import NUM_CLASSES, SIDE
from digits.data.split import normalize
from digits.errors import DigitsError

NUM_PIXELS = SIDE * SIDE


class _Network(nn.Sequential):
    def __getitem__(self, index: Any) -> Any:
        return nn.Sequential(*self)[index]  # some of the layers are not a network of this kind


class MLP(_Network):
    """A multilayer perceptron, with dropout wherever a rate is not 0.

    Args:
        hidden: widths of the hidden layers, each followed by a ReLU.
        dropout_rate: share of hidden units that each training step leaves out, in [0, 1).
        input_dropout_rate: share of pixels that each training step sets to 0, which is the mean or
            middle grey, depending on the normalization; in [0, 1).
    """

    def __init__(
        self,
        hidden: Sequence[int] = (128, 64),
        dropout_rate: float = 0.0,
        input_dropout_rate: float = 0.0,
        num_classes: int = NUM_CLASSES,
    ) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        if input_dropout_rate:
            layers.append(nn.Dropout(input_dropout_rate))
        width_in = NUM_PIXELS
        for width in hidden:
            layers += [nn.Linear(width_in, width), nn.ReLU()]
            if dropout_rate:
                layers.append(nn.Dropout(dropout_rate))
            width_in = width
        super().__init__(*layers, nn.Linear(width_in, num_classes))


class NoisyMLP(_Network):
    """The ladder network's encoder: a multilayer perceptron with batch normalization and noise.

    Rasmus et al., "Semi-supervised learning with ladder networks", NeurIPS 2015. Noise is added to
    the input, and in each layer, the last one included, after the normalization and before scale
    and shift. No linear layer has a bias, which the normalization would take away.

    Args:
        hidden: widths of the hidden layers, each followed by a ReLU.
        noise_std: standard deviation of the noise in each layer, at least 0.
        input_noise_std: that of the noise at the input, in units of the normalized pixels; `None`:
            as in the layers.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (1000, 500, 250, 250, 250),
        noise_std: float = 0.3,
        input_noise_std: float | None = None,
        num_classes: int = NUM_CLASSES,
    ) -> None:
        at_input = noise_std if input_noise_std is None else input_noise_std
        layers: list[nn.Module] = [nn.Flatten(), GaussianNoise(at_input)]
        width_in = NUM_PIXELS
        for width in (*hidden, num_classes):
            layers += [nn.Linear(width_in, width, bias=False), NoisyBatchNorm(width, noise_std)]
            layers.append(nn.ReLU())
            width_in = width
        super().__init__(*layers[:-1])


class GaussianNoise(nn.Module):
    """Gaussian noise in training, and nothing in evaluation."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or not self.std:
            return values
        return values + self.std * torch.randn_like(values)


class NoisyBatchNorm(nn.BatchNorm1d):
    """Batch normalization with Gaussian noise before the learned scale and shift.

    Rasmus et al. 2015, algorithm 1: gamma * (BN(x) + noise + beta). Departures: beta is added after
    the scale, as everywhere else, which is the same function with other numbers; and gamma is there
    before each ReLU as well, where the next layer's weights could take its place.
    """

    def __init__(self, width: int, noise_std: float) -> None:
        super().__init__(width)
        self.noise_std = noise_std

    def forward(self, values: Tensor) -> Tensor:
        if self.training and len(values) == 1:
            raise DigitsError(
                "batch normalization needs at least two images in each minibatch, and the last one "
                "of an epoch has 1; try another data.batch_size"
            )
        normalized = super().forward(values)
        if not self.training or not self.noise_std:
            return normalized
        return torch.addcmul(
            normalized, torch.randn_like(values), self.weight, value=self.noise_std
        )


def batch_norm_layers(network: nn.Module) -> list[_BatchNorm]:
    """Return the batch normalization layers that keep running averages."""
    found = [each for each in network.modules() if isinstance(each, _BatchNorm)]
    return [each for each in found if each.track_running_stats]


@torch.no_grad()
def recompute_batch_norm(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running averages of all batch normalizations by statistics over `batches`.

    They are those of the network as it is evaluated, without noise and dropout, as at the end of
    the training in Rasmus et al. 2015; each batch is normalized by the statistics so far, its own
    included, and batches count alike.
    """
    num_batches = 0

    def take(layer: Any, inputs: tuple[Tensor, ...]) -> None:
        (values,) = inputs
        variance, mean = torch.var_mean(values, [dim for dim in range(values.ndim) if dim != 1])
        layer.running_mean.lerp_(mean.to(layer.running_mean), 1 / num_batches)
        layer.running_var.lerp_(variance.to(layer.running_var), 1 / num_batches)

    hooks = [layer.register_forward_pre_hook(take) for layer in batch_norm_layers(network)]
    was_training = network.training
    network.eval()
    try:
        for images in batches:
            num_batches += 1
            network.forward(images)  # past torch.compile, which would not see the hooks
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()


class ConvNet(_Network):
    """A small convolutional network in the style of VGG, made for a processor with few cores.

    Each stage is some convolutions, of which the last halves the image; each is followed by batch
    normalization and a ReLU. VGG: Simonyan & Zisserman, "Very deep convolutional networks for
    large-scale image recognition", ICLR 2015. Departures: strides in place of pooling, as in
    Springenberg et al., "Striving for simplicity: the all convolutional net", 2015, unless `pool`;
    batch normalization (Ioffe & Szegedy 2015); and one or two layers after the convolutions.

    Args:
        channels: of each stage; three stages make 4 x 4 pixels of the image.
        dropout_rate: share of the last stage's values that each training step leaves out, in [0,
            1).
        kernel_size: width of the convolutions, odd; of all, or a list with one of each stage.
        convolutions: number of them in a stage, at least 1.
        pool: whether max pooling behind the last convolution of a stage halves the image, in place
            of that convolution's stride; all convolutions of a stage see its whole image then.
        dense: units of a layer with a ReLU between the last stage and the output; 0 for none.

    Raises:
        DigitsError: there are not as many kernel sizes as stages.
    """

    def __init__(
        self,
        channels: Sequence[int] = (24, 48, 96),
        dropout_rate: float = 0.0,
        kernel_size: int | Sequence[int] = 3,
        convolutions: int = 2,
        pool: bool = False,
        dense: int = 0,
        num_classes: int = NUM_CLASSES,
    ) -> None:
        if isinstance(kernel_size, int):
            kernel_size = [kernel_size] * len(channels)
        if len(kernel_size) != len(channels):
            raise DigitsError(
                f"model.kernel_size has {len(kernel_size)} sizes and model.channels "
                f"{len(channels)} stages; try model.kernel_size=3"
            )
        layers: list[nn.Module] = [ChannelsLast()]
        channels_in, side = 1, SIDE
        for width, size in zip(channels, kernel_size, strict=True):
            for number in range(1, convolutions + 1):
                is_last = number == convolutions
                stride = 2 if is_last and not pool else 1
                # The normalization that follows would take a bias away again.
                layers.append(nn.Conv2d(channels_in, width, size, stride, size // 2, bias=False))
                if is_last and pool:  # first, so that what follows has a quarter of the values
                    layers.append(nn.MaxPool2d(2, ceil_mode=True))
                layers += [nn.BatchNorm2d(width), nn.ReLU()]
                channels_in = width
            side = -(-side // 2)
        layers.append(nn.Flatten())
        if dropout_rate:
            layers.append(nn.Dropout(dropout_rate))
        features = channels_in * side * side
        if dense:
            layers += [nn.Linear(features, dense), nn.ReLU()]
        super().__init__(*layers, nn.Linear(dense or features, num_classes))


class ChannelsLast(nn.Module):
    """Images laid out pixel by pixel instead of channel by channel, without copying anything.

    What follows keeps the layout; on a CPU a training step takes about a fifth less time in it.
    """

    def forward(self, images: Tensor) -> Tensor:
        # With one channel both layouts are the same bytes, so that torch has to be told by strides.
        return images.reshape(-1, SIDE, SIDE, 1).permute(0, 3, 1, 2)


class Normalized(nn.Module):
    """A network that normalizes its images itself: from pixels in [0, 1], by `mean` and `std`."""

    def __init__(self, network: nn.Module, mean: float, std: float) -> None:
        super().__init__()
        self.network, self.mean, self.std = network, mean, std

    def forward(self, images: Tensor) -> Tensor:
        # What is normalized is float32; a network in another precision gets images in its own.
        logits: Tensor = self.network(normalize(images, self.mean, self.std).to(images.dtype))
        return logits


class Ensemble(nn.Module):
    """The mean of the probabilities that several networks give each class.

    The ensemble is a mixture of its members with equal weights: Lakshminarayanan, Pritzel &
    Blundell, "Simple and scalable predictive uncertainty estimation using deep ensembles", NeurIPS
    2017, section 2.4. The result is the mean's logarithm, so that a softmax gives the mean itself.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (batch, 1, 28, 28), floats in [0, 1], to log-probabilities."""
        return log_mean_probability([member(images) for member in self.members])


def log_mean_probability(logits: Sequence[Tensor]) -> Tensor:
    """Return the logarithm of the mean of the probabilities that several logits stand for."""
    # By logarithms throughout, no probability is rounded to 0, whose logarithm is infinite.
    logs = [F.log_softmax(each.float(), dim=1) for each in logits]
    return torch.stack(logs).logsumexp(dim=0) - math.log(len(logs))
