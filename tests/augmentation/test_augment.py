from typing import Any

import pytest
import torch
from torch import Tensor

from digits.augmentation import Augmentation
from digits.augmentation.affine import movement
from digits.data.sample import load_sample
from digits.errors import DigitsError

BYTES = load_sample("train").images[:64]
FLOATS = BYTES.float() / 255
AFFINE = Augmentation(shift=2, rotation=10, scale=0.1, shear=10)
ELASTIC = Augmentation(shift=2, rotation=10, scale=0.1, shear=10, elastic_alpha=30)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("images", [BYTES, FLOATS])
def test_no_options_leave_images_as_they_are_and_draw_nothing(images: Tensor) -> None:
    generator = seeded()
    state = generator.get_state()
    assert Augmentation()(images, generator).equal(images)
    assert generator.get_state().equal(state)


@pytest.mark.parametrize("augmentation", [AFFINE, ELASTIC])
@pytest.mark.parametrize("images", [BYTES, FLOATS, FLOATS.double(), BYTES[:1], BYTES[:0]])
def test_images_keep_shape_type_and_range_and_the_originals_stay(
    augmentation: Augmentation, images: Tensor
) -> None:
    before = images.clone()
    found = augmentation(images, seeded())
    assert (found.shape, found.dtype) == (images.shape, images.dtype)
    assert images.equal(before)
    assert not len(found) or (found.min() >= 0 and found.max() <= images.max())


def test_bytes_are_the_floats_rounded() -> None:
    from_bytes, from_floats = ELASTIC(BYTES, seeded()), ELASTIC(FLOATS, seeded())
    assert (from_bytes - from_floats * 255).abs().max() <= 0.501


@pytest.mark.parametrize("augmentation", [AFFINE, ELASTIC])
def test_the_same_seed_gives_the_same_images_whatever_else_is_drawn(
    augmentation: Augmentation,
) -> None:
    torch.manual_seed(1)
    first = augmentation(FLOATS, seeded(7))
    torch.manual_seed(2)
    assert augmentation(FLOATS, seeded(7)).equal(first)
    assert not augmentation(FLOATS, seeded(8)).equal(first)


@pytest.mark.parametrize(
    "options",
    [{"shift": 2}, {"rotation": 10}, {"scale": 0.1}, {"shear": 10}, {"elastic_alpha": 30}],
)
def test_each_image_of_a_batch_has_draws_of_its_own(options: dict[str, float]) -> None:
    same = FLOATS[:1].expand(16, -1, -1, -1)
    found = Augmentation(**options)(same, seeded())
    assert len({image.numpy().tobytes() for image in found}) == 16


def test_draws_fill_their_ranges_evenly() -> None:
    draws = torch.rand(20_000, 5, generator=seeded()) * 2 - 1
    turn, grow, lean, right, down = movement(draws, 2, 10, 0.1, 20)
    for values, low, high in (
        (turn, -10, 10),
        (grow, 0.9, 1.1),
        (lean, -20, 20),
        (right, -2, 2),
        (down, -2, 2),
    ):
        width = high - low
        assert low <= values.min() < low + 0.01 * width
        assert high - 0.01 * width < values.max() <= high
        # uniform numbers have a standard deviation of their width / sqrt(12)
        assert values.std().item() == pytest.approx(width / 12**0.5, rel=0.02)


def test_a_shift_moves_the_ink_no_further_than_asked_and_nothing_else() -> None:
    dot = torch.zeros(2000, 1, 28, 28)
    dot[:, :, 13, 13] = 1
    found = Augmentation(shift=3)(dot, seeded())
    ink = torch.arange(28.0)
    across, down = ((found.sum(dim) * ink).sum(2) - 13 for dim in (2, 3))
    torch.testing.assert_close(found.sum((1, 2, 3)), torch.ones(2000), atol=1e-4, rtol=0)
    for moved in (across, down):
        assert moved.abs().max() <= 3.001
        assert moved.std().item() == pytest.approx(6 / 12**0.5, rel=0.05)


def test_what_comes_from_outside_is_black() -> None:
    white = torch.ones(50, 1, 28, 28)
    corners = Augmentation(rotation=45)(white, seeded())[:, 0, 0, 0]
    assert (corners == 0).any()


def test_positions_stay_exact_under_autocast() -> None:
    expected = ELASTIC(FLOATS, seeded())
    with torch.autocast("cpu", torch.bfloat16):
        assert ELASTIC(FLOATS, seeded()).equal(expected)


@pytest.mark.parametrize(
    "options",
    [
        {"shift": -1},
        {"shift": 15},
        {"rotation": 181},
        {"scale": 1},
        {"shear": 90},
        {"elastic_alpha": -1},
        {"elastic_sigma": 0},
        {"elastic_sigma": float("nan")},
    ],
)
def test_a_value_out_of_its_range_is_told_with_a_remedy(options: dict[str, Any]) -> None:
    ((name, value),) = options.items()
    expected = rf"augment\.{name} must be a number in \[.*\], got {value}; try augment\.{name}="
    with pytest.raises(DigitsError, match=expected):
        Augmentation(**options)
