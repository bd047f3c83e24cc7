import math

import numpy as np
import pytest
import scipy.ndimage
import torch
import torchvision.transforms.functional as TF
from torch import Tensor
from torchvision.transforms import InterpolationMode

from digits.augmentation.affine import NUM_DRAWS, Movement, movement, origins
from digits.augmentation.augment import sample
from digits.data.sample import load_sample

IMAGES = load_sample("train").images[:6].float() / 255


def moved(images: Tensor, **amounts: float) -> Tensor:
    """Moves each image by the same fixed amounts."""
    defaults = {"rotation": 0.0, "scale": 1.0, "shear": 0.0, "shift_x": 0.0, "shift_y": 0.0}
    values = [torch.full((len(images),), value) for value in (defaults | amounts).values()]
    return sample(images, origins(Movement(*values)))


def test_no_movement_takes_each_pixel_from_its_place() -> None:
    torch.testing.assert_close(moved(IMAGES), IMAGES, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, 2), (-4, 5), (1, -1), (14, -14)])
def test_a_shift_by_whole_pixels_is_a_slice_in_black(right: int, down: int) -> None:
    padded = torch.nn.functional.pad(IMAGES, (14, 14, 14, 14))
    expected = padded[:, :, 14 - down : 42 - down, 14 - right : 42 - right]
    found = moved(IMAGES, shift_x=float(right), shift_y=float(down))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("turns", [1, 2, 3, -1])
def test_a_rotation_by_right_angles_is_rot90(turns: int) -> None:
    found = moved(IMAGES, rotation=90.0 * turns)
    torch.testing.assert_close(found, torch.rot90(IMAGES, turns, dims=(2, 3)), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "amounts",
    [
        {"rotation": 17.0},
        {"scale": 0.8},
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
        for image in IMAGES.double().numpy()
    ]
    found = moved(IMAGES, **amounts)[:, 0].numpy()
    np.testing.assert_allclose(found, np.stack(expected), atol=2e-5)


def test_it_is_torchvisions_affine_but_for_the_sign_of_the_rotation() -> None:
    amounts = {"rotation": 25.0, "scale": 0.9, "shear": -10.0, "shift_x": 2.0, "shift_y": 1.0}
    bilinear = InterpolationMode.BILINEAR
    expected = TF.affine(IMAGES, -25.0, [2, 1], 0.9, [-10.0, 0.0], interpolation=bilinear)
    torch.testing.assert_close(moved(IMAGES, **amounts), expected, atol=1e-4, rtol=0)


def test_a_lean_moves_the_top_to_the_right_and_a_scale_above_1_enlarges() -> None:
    bar = torch.zeros(1, 1, 28, 28)
    bar[:, :, 4:24, 13:15] = 1
    columns = torch.arange(28.0)
    leaning = moved(bar, shear=20.0)[0, 0]
    top, bottom = ((leaning[row] * columns).sum() / leaning[row].sum() for row in (6, 21))
    assert top > 15
    assert bottom < 12
    assert moved(bar, scale=1.2).sum() > 1.3 * bar.sum()


def test_movements_are_the_greatest_allowed_times_the_draws() -> None:
    draws = torch.tensor([[1.0, -1.0, 0.5, 0.0, -0.25]])
    found = movement(draws, shift=4, rotation=10, scale=0.2, shear=6)
    assert draws.shape[1] == NUM_DRAWS
    assert [value.item() for value in found] == pytest.approx([10, 0.8, 3, 0, -1])
