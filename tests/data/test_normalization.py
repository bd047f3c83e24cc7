import pytest
import torch
from torch import Tensor
from torchvision.transforms import Compose, Normalize, ToTensor

from digits.data.normalization import normalize

EVERY_BYTE = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)


def torchvisions(images: Tensor, mean: float, std: float) -> Tensor:
    """The same by torchvision, one image after the other."""
    transform = Compose([ToTensor(), Normalize((mean,), (std,))])
    return torch.stack([transform(image.numpy().transpose(1, 2, 0)) for image in images])


@pytest.mark.parametrize(
    ("mean", "std"),
    [(0.0, 1.0), (0.5, 0.5), (0.1307, 0.3081), (0.13066047627384286, 0.3081078038564627)],
)
def test_bytes_become_what_torchvision_makes_of_them_to_the_last_bit(
    mean: float, std: float
) -> None:
    images = torch.randint(0, 256, (5, 1, 28, 28), dtype=torch.uint8)
    for each in (EVERY_BYTE, images):
        found = normalize(each, mean, std)
        assert found.dtype == torch.float32
        assert found.equal(torchvisions(each, mean, std))


def test_floats_from_0_to_1_become_what_their_bytes_do() -> None:
    assert normalize(EVERY_BYTE / 255, 0.1, 0.3).equal(normalize(EVERY_BYTE, 0.1, 0.3))


@pytest.mark.parametrize("images", [EVERY_BYTE, EVERY_BYTE / 255])
def test_the_images_themselves_stay(images: Tensor) -> None:
    before = images.clone()
    normalize(images, 0.5, 0.5)
    assert images.equal(before)


def test_memory_that_is_handed_in_is_used() -> None:
    out = torch.full(EVERY_BYTE.shape, torch.nan)
    found = normalize(EVERY_BYTE, 0.5, 0.5, out=out)
    assert found.data_ptr() == out.data_ptr()
    assert out.equal(normalize(EVERY_BYTE, 0.5, 0.5))
