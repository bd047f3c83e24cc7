import pytest
import torch

from digits.figures import draw_class_balance


def test_a_bar_is_as_high_as_its_digits_share() -> None:
    counts = {"training": torch.arange(10), "test": torch.full((10,), 7)}
    (axes,) = draw_class_balance(counts).axes
    heights = [patch.get_height() for patch in axes.patches]  # type: ignore[attr-defined]
    assert heights == pytest.approx([100 * n / 45 for n in range(10)] + [10] * 10)
    middles = [patch.get_x() + patch.get_width() / 2 for patch in axes.patches]  # type: ignore[attr-defined]
    assert [round(middle) for middle in middles] == [*range(10)] * 2
