import math

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch import Tensor

from digits.data.datasets import SIDE, load_sample
from digits.models import augmentation
from digits.models.augmentation import (
    Augmentation,
    displacement_std,
    displacements,
    num_points,
    origins,
    rectangles,
    sample,
)

BYTES = load_sample("train").images[:64]
FLOATS = BYTES.float() / 255
SOME = FLOATS[:6]
AFFINE = Augmentation(shift=2, rotation=10, scale=0.1, shear=10)
ELASTIC = Augmentation(shift=2, rotation=10, scale=0.1, shear=10, elastic_alpha=30)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("augmentation", [AFFINE, ELASTIC])
@pytest.mark.parametrize("images", [BYTES, FLOATS, BYTES[:1]])
def test_images_keep_shape_type_and_range_and_the_originals_stay(
    augmentation: Augmentation, images: Tensor
) -> None:
    before = images.clone()
    found = augmentation(images, seeded())
    assert (found.shape, found.dtype) == (images.shape, images.dtype)
    assert images.equal(before)
    assert found.min() >= 0 and found.max() <= images.max()
    if images.dtype == torch.uint8:
        floats = augmentation(images.float(), seeded())
        assert (found - floats).abs().max() <= 0.501


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
    [
        {"shift": 2},
        {"rotation": 10},
        {"scale": 0.1},
        {"shear": 10},
        {"elastic_alpha": 30},
        {"erase": 1.0},
    ],
)
def test_each_image_of_a_batch_is_drawn_separately(options: dict[str, float]) -> None:
    same = FLOATS[:1].expand(16, -1, -1, -1)
    found = Augmentation(**options)(same, seeded())
    assert len({image.numpy().tobytes() for image in found}) == 16


def test_draws_fill_their_ranges_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Tensor] = {}

    def note(**amounts: Tensor) -> Tensor:
        found.update(amounts)
        return origins(**amounts)

    monkeypatch.setattr(augmentation, "origins", note)
    images = torch.zeros(20_000, 1, 28, 28)
    Augmentation(shift=2, rotation=10, scale=0.1, shear=20)(images, seeded())
    for name, low, high in (
        *(("rotation", -10, 10), ("scale", 0.9, 1.1), ("shear", -20, 20)),
        *(("shift_x", -2, 2), ("shift_y", -2, 2)),
    ):
        values, width = found[name], high - low
        assert low <= values.min() < low + 0.01 * width
        assert high - 0.01 * width < values.max() <= high
        # uniform numbers have a standard deviation of their width / sqrt(12)
        assert values.std().item() == pytest.approx(width / 12**0.5, rel=0.02)


def test_rectangles_are_of_torchvisions_sizes_and_lie_anywhere() -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    erased = rectangles(torch.rand(20_000, 5, generator=seeded()), 0.5)[:, 0]
    is_erased = erased.any(dim=(1, 2))
    assert is_erased.double().mean().item() == pytest.approx(0.5, abs=0.02)
    rows, columns = erased.any(dim=2), erased.any(dim=1)
    assert (rows[:, :, None] & columns[:, None, :]).equal(erased)  # nothing else than rectangles
    for axis in (rows[is_erased], columns[is_erased]):
        assert (axis.int().diff(dim=1) == 1).sum(dim=1).max() <= 1  # in one piece
        shares = axis.double().mean(dim=0)
        torch.testing.assert_close(shares, shares.flip(0), atol=0.02, rtol=0)

    torch.manual_seed(0)
    theirs = [
        transforms.RandomErasing.get_params(SOME[0], (0.02, 0.33), (0.3, 3.3), [0.0])[2:4]
        for _ in range(5000)
    ]
    sizes = torch.tensor(theirs).double()
    heights, widths = rows[is_erased].double().sum(1), columns[is_erased].double().sum(1)
    assert heights.mean().item() == pytest.approx(sizes[:, 0].mean().item(), rel=0.03)
    assert (heights * widths).mean().item() == pytest.approx(sizes.prod(1).mean().item(), rel=0.03)


@pytest.mark.parametrize("images", [BYTES, FLOATS])
def test_erasing_blackens_a_rectangle_and_leaves_the_rest(images: Tensor) -> None:
    found = Augmentation(erase=1.0)(images + images.new_ones(1), seeded())
    kept = found != 0
    assert (~kept).any(dim=(1, 2, 3)).all() and found[kept].equal((images + 1)[kept])
    assert not Augmentation(erase=1.0).changes_nothing
    shifted = Augmentation(shift=2)(images, seeded())
    both = Augmentation(shift=2, erase=0.5)(images, seeded())
    assert both.equal(torch.where(both == 0, both, shifted))  # the shift's draws are the same


def test_positions_stay_exact_under_autocast() -> None:
    expected = ELASTIC(FLOATS, seeded())
    with torch.autocast("cpu", torch.bfloat16):
        assert ELASTIC(FLOATS, seeded()).equal(expected)


def moved(images: Tensor, **amounts: float) -> Tensor:
    """Move each image by the same fixed amounts."""
    defaults = {"rotation": 0.0, "scale": 1.0, "shear": 0.0, "shift_x": 0.0, "shift_y": 0.0}
    values = {
        name: torch.full((len(images),), value) for name, value in (defaults | amounts).items()
    }
    return sample(images, origins(**values))


@pytest.mark.parametrize(("right", "down"), [(3, 0), (-4, 5), (14, -14)])
def test_a_shift_by_whole_pixels_is_a_slice_in_black(right: int, down: int) -> None:
    padded = torch.nn.functional.pad(SOME, (14, 14, 14, 14))
    expected = padded[:, :, 14 - down : 42 - down, 14 - right : 42 - right]
    found = moved(SOME, shift_x=float(right), shift_y=float(down))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "amounts",
    [
        {"rotation": 90.0},
        {"shear": 12.0},
        {"rotation": -20.0, "scale": 1.2, "shear": -15.0, "shift_x": 1.5, "shift_y": -2.25},
    ],
)
def test_it_is_scipys_affine_transform_of_the_inverse_matrix(amounts: dict[str, float]) -> None:
    turn, lean = (math.radians(amounts.get(name, 0.0)) for name in ("rotation", "shear"))
    # Counterclockwise for the eye, where y goes down; a lean moves what is above to the right.
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    shear = np.array([[1, -np.tan(lean)], [0, 1]])
    inverse = np.linalg.inv(rotation @ shear * amounts.get("scale", 1.0))
    inverse = inverse[::-1, ::-1]  # scipy counts rows before columns
    shift = np.array([amounts.get("shift_y", 0.0), amounts.get("shift_x", 0.0)])
    centre = np.array([13.5, 13.5])
    offset = centre - inverse @ (centre + shift)
    expected = [
        scipy.ndimage.affine_transform(image[0], inverse, offset, order=1, mode="grid-constant")
        for image in SOME.double().numpy()
    ]
    found = moved(SOME, **amounts)[:, 0].numpy()
    np.testing.assert_allclose(found, np.stack(expected), atol=2e-5)


def fields(num_images: int, alpha: float, sigma: float) -> Tensor:
    points = num_points(sigma)
    noise = torch.randn(num_images, points, 2 * points, generator=seeded())
    return displacements(noise, alpha, sigma)


def simards(num_images: int, alpha: float, sigma: float) -> np.ndarray:
    """Return the paper's own fields, (n, 28, 28): uniform noise, smoothed by scipy."""
    margin = math.ceil(4 * sigma)
    size = SIDE + 2 * margin
    noise = np.random.default_rng(0).uniform(-1, 1, (num_images, size, size))
    smooth = scipy.ndimage.gaussian_filter(noise, (0, sigma, sigma), mode="constant")
    inner = slice(margin, margin + SIDE)
    return np.asarray(alpha * smooth[:, inner, inner])


@pytest.mark.parametrize(("alpha", "sigma"), [(34.0, 4.0), (8.0, 2.0)])
def test_displacements_are_as_large_as_simards(alpha: float, sigma: float) -> None:
    found, theirs = fields(2000, alpha, sigma), simards(1000, alpha, sigma)
    std = theirs.std()
    # 2,000 fields of some 20 or more independent places: the standard deviation is known to 1 %
    assert found.std(dim=(0, 1, 2)).tolist() == pytest.approx([std, std], rel=0.04)
    assert found.mean(dim=(0, 1, 2)).tolist() == pytest.approx([0, 0], abs=0.05 * std)
    lengths = found.norm(dim=3)
    assert lengths.mean().item() == pytest.approx(math.sqrt(math.pi / 2) * std, rel=0.03)


@pytest.mark.parametrize("sigma", [2.0, 4.0])
def test_neighbours_move_together_as_far_as_simards_do(sigma: float) -> None:
    found, theirs = fields(4000, 1.0, sigma)[..., 0].double().numpy(), simards(2000, 1.0, sigma)
    for distance in (1, 3, 6, 9):
        expected = math.exp(-(distance**2) / (4 * sigma**2))
        for field in (found, theirs):
            for pairs in (
                (field[:, :, :-distance], field[:, :, distance:]),
                (field[:, :-distance], field[:, distance:]),
            ):
                correlation = (pairs[0] * pairs[1]).mean() / (field**2).mean()
                assert correlation == pytest.approx(expected, abs=0.04)


@pytest.mark.parametrize("sigma", [1.0, 4.0, 28.0])
def test_every_pixel_moves_as_far_as_every_other(sigma: float) -> None:
    # Each displacement is a weighted sum of the draws, so one draw at a time gives the weights.
    points = num_points(sigma)
    noise = torch.eye(2 * points**2).view(-1, points, 2 * points)
    variance = displacements(noise.double(), 1.0, sigma).square().sum(0)
    expected = torch.full_like(variance, displacement_std(1.0, sigma) ** 2)
    torch.testing.assert_close(variance, expected, rtol=0.002, atol=0)


def test_a_field_bends_an_image_as_scipys_map_coordinates_does() -> None:
    images = load_sample("train").images[:5]
    bent_by = fields(5, 34.0, 4.0)
    axis = torch.arange(SIDE) - 13.5
    straight = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=2)
    found = sample(images.float() / 255, straight + bent_by)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for image, field, result in zip(images.numpy(), bent_by.numpy(), found.numpy(), strict=True):
        places = [rows + field[..., 1], columns + field[..., 0]]
        expected = scipy.ndimage.map_coordinates(
            image[0] / 255, places, order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(result[0], expected, atol=2e-5)
