import numpy as np
import torch

from digits.figures import draw_pixel_histogram


def test_each_split_is_drawn_with_its_shares() -> None:
    counts = {
        "training": torch.arange(256),
        "validation": torch.ones(256, dtype=torch.int64),
        "test": torch.arange(256).flip(0),
    }
    (axes,) = draw_pixel_histogram(counts).axes
    for patch, numbers in zip(axes.patches, counts.values(), strict=True):
        values, edges, _ = patch.get_data()  # type: ignore[attr-defined]
        np.testing.assert_allclose(values, 100 * numbers.numpy() / numbers.sum().item(), rtol=1e-6)
        assert edges[0] == -0.5
        assert edges[-1] == 255.5
    assert axes.get_yscale() == "log"
