import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from digits.data.datasets import load_sample
from digits.errors import DigitsError
from digits.models.networks import (
    MLP,
    ChannelsLast,
    ConvNet,
    GaussianNoise,
    NoisyBatchNorm,
    NoisyMLP,
    recompute_batch_norm,
)

IMAGES = load_sample("test").images[:100] / 255


@pytest.mark.parametrize(
    "network",
    [
        *(MLP(), NoisyMLP([5]), ConvNet(), ConvNet([2]), ConvNet([2, 3, 4, 5])),
        *(ConvNet([2, 3, 4, 5, 6], kernel_size=7, pool=True), ConvNet([2], convolutions=1)),
    ],
)
@pytest.mark.parametrize("num_images", [1, 3])
def test_images_become_ten_logits_each(network: nn.Module, num_images: int) -> None:
    assert network.eval()(torch.zeros(num_images, 1, 28, 28)).shape == (num_images, 10)


@pytest.mark.parametrize("hidden", [[3], [7, 6, 5]])
def test_the_network_is_that_of_matrix_products(hidden: list[int]) -> None:
    network = MLP(hidden, dropout_rate=0.5).eval()
    images = torch.randn(4, 1, 28, 28)
    weights = list(network.state_dict().values())
    activations = images.reshape(4, 784)
    for index in range(0, len(weights), 2):
        activations = activations @ weights[index].T + weights[index + 1]
        if index + 2 < len(weights):
            activations = activations.clamp(min=0)
    torch.testing.assert_close(network(images), activations)


def test_dropout_of_the_input_sets_pixels_to_0_and_comes_first() -> None:
    network = MLP([5], input_dropout_rate=0.25)
    kinds = [type(layer) for layer in network]
    assert kinds == [nn.Flatten, nn.Dropout, nn.Linear, nn.ReLU, nn.Linear]
    images = torch.rand(200, 1, 28, 28) + 0.5
    found = network.get_submodule("1")(images)
    kept = found != 0
    torch.testing.assert_close(found[kept], images[kept] / 0.75)
    # 156,800 draws, whose share of kept ones has a standard deviation of 0.0011
    assert kept.float().mean().item() == pytest.approx(0.75, abs=6 * 0.0011)


def random_affine(layer: NoisyBatchNorm) -> NoisyBatchNorm:
    nn.init.uniform_(layer.weight, 0.5, 2)
    nn.init.normal_(layer.bias)
    return layer


def test_noise_has_its_standard_deviation_in_training_and_there_is_none_in_evaluation() -> None:
    layer, values = GaussianNoise(0.3), torch.randn(500, 400)
    noise = layer(values) - values
    # 200,000 draws: mean and standard deviation are known to 0.0007 and 0.0005
    assert noise.mean().item() == pytest.approx(0, abs=0.004)
    assert noise.std().item() == pytest.approx(0.3, abs=0.003)
    assert layer.eval()(values).equal(values)


def test_without_noise_it_is_torchs_batch_normalization_and_its_statistics() -> None:
    layer, torchs = random_affine(NoisyBatchNorm(7, noise_std=0.0)), nn.BatchNorm1d(7)
    torchs.load_state_dict(layer.state_dict())
    for _ in range(3):
        values = torch.randn(20, 7) * 3 + 1
        torch.testing.assert_close(layer(values), torchs(values))
    assert layer.running_mean is not None and layer.running_var is not None
    torch.testing.assert_close(layer.running_mean, torchs.running_mean)
    torch.testing.assert_close(layer.running_var, torchs.running_var)
    assert layer.eval()(values).equal(torchs.eval()(values))


def test_noise_at_the_input_is_that_of_the_layers_unless_it_is_given() -> None:
    def stds(network: NoisyMLP) -> list[float]:
        noise = [each for each in network if isinstance(each, GaussianNoise | NoisyBatchNorm)]
        return [each.std if isinstance(each, GaussianNoise) else each.noise_std for each in noise]

    assert stds(NoisyMLP([5], 0.4)) == [0.4, 0.4, 0.4]
    assert stds(NoisyMLP([5], 0.5, input_noise_std=0.0)) == [0.0, 0.5, 0.5]


def test_recomputed_statistics_are_those_of_the_noiseless_network_over_all_images() -> None:
    for network in (NoisyMLP([6, 5], 0.5), ConvNet([3, 4], 0.5)):
        network(IMAGES * 2)  # statistics to be forgotten
        quiet = NoisyMLP([6, 5], 0.0) if isinstance(network, NoisyMLP) else ConvNet([3, 4])
        quiet.load_state_dict(
            dict(zip(quiet.state_dict(), network.state_dict().values(), strict=True))
        )
        update_bn([IMAGES], quiet)  # torch's own, in one batch
        recompute_batch_norm(network, [IMAGES])
        assert network.training
        for ours, theirs in zip(network.buffers(), quiet.buffers(), strict=True):
            if ours.is_floating_point():  # 1 % apart as variances of 100 images by 99 and by 100
                torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.005)
        # In two halves, means over the images stay what they are in the first layer.
        first = next(network.buffers()).clone()
        recompute_batch_norm(network, IMAGES.chunk(2))
        torch.testing.assert_close(next(network.buffers()), first)


def test_noise_comes_behind_the_normalization_and_before_the_scale() -> None:
    layer = random_affine(NoisyBatchNorm(300, noise_std=0.3))
    values = torch.randn(400, 300) * 5 - 2
    noiseless = random_affine(NoisyBatchNorm(300, noise_std=0.0))
    noiseless.load_state_dict(layer.state_dict())
    noise = (layer(values) - noiseless(values)).detach()
    # of 400 draws each: the standard deviation of the scaled noise is known to 3.5 %
    torch.testing.assert_close(noise.std(0), 0.3 * layer.weight.detach(), rtol=0.2, atol=0)
    assert (noise / layer.weight.detach()).std().item() == pytest.approx(0.3, rel=0.01)


def test_a_single_image_has_no_variance_and_is_refused_with_a_remedy() -> None:
    network = NoisyMLP([4], 0.3)
    with pytest.raises(DigitsError, match=r"at least two images .*; try another data\.batch_size"):
        network(torch.zeros(1, 1, 28, 28))


def test_networks_in_evaluation_are_those_of_torchs_layers() -> None:
    layers: list[nn.Module] = [nn.Flatten(), nn.Identity()]
    for width_in, width in ((784, 5), (5, 4), (4, 10)):
        layers += [nn.Linear(width_in, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
    noisy_mlp = nn.Sequential(*layers[:-1])
    layers = [nn.Identity()]
    for channels_in, width, stride in ((1, 3, 1), (3, 3, 2), (3, 4, 1), (4, 4, 2)):
        layers.append(nn.Conv2d(channels_in, width, 3, stride, padding=1, bias=False))
        layers += [nn.BatchNorm2d(width), nn.ReLU()]
    conv_net = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(), nn.Linear(4 * 7 * 7, 10))
    for ours, theirs in ((NoisyMLP([5, 4]), noisy_mlp), (ConvNet([3, 4], 0.5), conv_net)):
        ours(IMAGES)  # which gives the normalizations some statistics
        theirs.load_state_dict(ours.state_dict())
        torch.testing.assert_close(ours.eval()(IMAGES), theirs.eval()(IMAGES))


def test_with_pooling_a_stage_sees_its_whole_image_with_kernels_of_its_size() -> None:
    def convolution(
        channels_in: int, channels: int, size: int, *pool: nn.Module
    ) -> list[nn.Module]:
        layer = nn.Conv2d(channels_in, channels, size, padding="same", bias=False)
        return [layer, *pool, nn.BatchNorm2d(channels), nn.ReLU()]

    pool = nn.MaxPool2d(2, ceil_mode=True)
    first = [*convolution(1, 3, 5), *convolution(3, 3, 5, pool)]
    second = [*convolution(3, 4, 3), *convolution(4, 4, 3, pool)]
    dense = [nn.Linear(4 * 7 * 7, 6), nn.ReLU(), nn.Linear(6, 10)]
    theirs = nn.Sequential(nn.Identity(), *first, *second, nn.Flatten(), *dense)
    ours = ConvNet([3, 4], kernel_size=[5, 3], pool=True, dense=6)
    sides = [layer(IMAGES).shape[-1] for layer in (ours[:4], ours[:8], ours[:12])]
    assert sides == [28, 14, 14]
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours.eval()(IMAGES), theirs.eval()(IMAGES))


def test_kernel_sizes_are_as_many_as_stages() -> None:
    with pytest.raises(DigitsError, match=r"2 sizes and model\.channels 3 stages; try model"):
        ConvNet([2, 3, 4], kernel_size=[3, 5])


def test_activations_lie_pixel_by_pixel_and_no_image_is_copied() -> None:
    images = torch.randn(5, 1, 28, 28)
    laid_out = ChannelsLast()(images)
    assert laid_out.equal(images)
    assert laid_out.data_ptr() == images.data_ptr()
    values = ConvNet([3, 4])[:4](images)
    assert values.is_contiguous(memory_format=torch.channels_last)
