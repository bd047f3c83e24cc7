from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_splits import made_up_splits
from omegaconf import OmegaConf

from digits.data.normalization import normalize
from digits.exploration.pixels import FIXED_NORMS, describe_pixels, normalized, pixel_counts

REPO = Path(__file__).parents[2]


def test_pixels_are_counted() -> None:
    images = made_up_splits()[0].images
    expected = [int((images == value).sum()) for value in range(256)]
    assert pixel_counts(images).tolist() == expected


@pytest.mark.parametrize("name", FIXED_NORMS)
def test_the_fixed_norms_are_those_of_train_py(name: str) -> None:
    written = OmegaConf.load(REPO / "conf" / "norm" / f"{name}.yaml")
    assert FIXED_NORMS[name] == (written.mean, written.std)


def test_what_a_norm_makes_of_the_pixels_is_what_normalizing_makes_of_them() -> None:
    images = made_up_splits()[0].images
    for shift, scale, mean, std, least, greatest in normalized(images).values():
        done = normalize(images, shift, scale).double()
        assert done.mean().item() == pytest.approx(mean, abs=1e-6)
        assert done.std(correction=0).item() == pytest.approx(std, abs=1e-6)
        assert (done.min().item(), done.max().item()) == pytest.approx((least, greatest), abs=1e-6)


def test_exact_brings_the_pixels_to_mean_0_and_deviation_1() -> None:
    _, _, mean, std, *_ = normalized(made_up_splits()[0].images)["exact"]
    assert (mean, std) == (0, 1)


def test_blank_images_have_no_exact_norm() -> None:
    assert list(normalized(torch.zeros(2, 1, 28, 28, dtype=torch.uint8))) == ["unit", "half"]


def test_the_statistics_of_each_split_are_told_to_the_last_digit(tmp_path: Path) -> None:
    splits = made_up_splits()
    exact, _ = describe_pixels(splits, tmp_path).tables
    together = torch.cat([split.images for split in splits[:2]])
    expected = {split.name: split.images for split in splits}
    expected["training and validation"] = together
    assert [row[0] for row in exact.rows] == list(expected)
    for name, mean, std in exact.rows:
        pixels = expected[name].numpy().astype(np.float64) / 255
        assert float(mean) == pytest.approx(pixels.mean(), rel=1e-13)
        assert float(std) == pytest.approx(pixels.std(), rel=1e-13)
