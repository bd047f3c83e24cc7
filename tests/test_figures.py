import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from digits.data.datasets import load_sample
from digits.figures import (
    DPI,
    History,
    confusion_matrix,
    digit_grid,
    draw_class_balance,
    draw_leaderboard,
    draw_learning_curve,
    draw_overlaid_curves,
    draw_pixel_histogram,
)
from digits.groups import Group
from digits.run_directory import Run


def drawn(figure: Figure) -> Tensor:
    """Return the picture's grey values, (height, width), 0 to 255."""
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=DPI)
        return torch.from_numpy(np.asarray(Image.open(file).convert("L")).astype(np.int64))


@pytest.mark.parametrize("shape", [(13, 28, 28), (13, 1, 28, 28)])
def test_each_pixel_is_a_square_of_three_by_three(shape: tuple[int, ...]) -> None:
    images = load_sample("train").images[:13].reshape(shape)
    picture = drawn(digit_grid(images, columns=5))
    assert picture.shape == (3 * (3 * 30 + 2), 3 * (5 * 30 + 2))
    for place in range(13):
        row, column = divmod(place, 5)
        top, left = 3 * (2 + 30 * row), 3 * (2 + 30 * column)
        tile = picture[top : top + 84, left : left + 84]
        expected = images[place].reshape(28, 28).repeat_interleave(3, 0).repeat_interleave(3, 1)
        assert (tile - expected).abs().max() <= 1  # the grey scale's rounding
    assert (picture[-90:-6, -178:] == 255).all()  # two places are empty


@pytest.mark.parametrize(
    ("dtype", "limits", "expected"),
    [
        (torch.float32, None, [0, 255]),
        (torch.float32, (0, 200), [128, 255]),
        (torch.uint8, None, [100, 200]),
    ],
)
def test_floats_are_drawn_from_minimum_to_maximum_and_bytes_from_0_to_255(
    dtype: torch.dtype, limits: tuple[float, float] | None, expected: list[int]
) -> None:
    images = torch.full((1, 28, 28), 200, dtype=dtype)
    images[0, :14] = 100
    picture = drawn(digit_grid(images, limits=limits))
    assert picture[[10, 80], 20].tolist() == pytest.approx(expected, abs=1)


def test_titles_stand_over_their_images_and_overlap_nothing() -> None:
    images = torch.zeros(7, 28, 28, dtype=torch.uint8)
    titles = [f"first {n}\nsecond" for n in range(7)]
    figure = digit_grid(images, titles, columns=4, title="a heading")
    heading, *texts = figure.axes[0].texts
    assert heading.get_text() == "a heading"
    assert [text.get_text() for text in texts] == titles

    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in (heading, *texts)]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
    assert all(box.y0 >= 0 and box.y1 <= figure.bbox.height for box in boxes)
    assert not any(boxes[0].overlaps(box) for box in boxes[1:])
    grey = drawn(figure).flip(0)  # from bottom to top, as the boxes
    for box in boxes[1:]:  # on white, between black tiles
        assert grey[int(box.y0) : int(box.y1), int(box.x0) - 2].min() > 250


def test_a_bar_is_as_high_as_its_digits_share() -> None:
    counts = {"training": torch.arange(10), "test": torch.full((10,), 7)}
    (axes,) = draw_class_balance(counts, "0123456789").axes
    heights = [patch.get_height() for patch in axes.patches]  # type: ignore[attr-defined]
    assert heights == pytest.approx([100 * n / 45 for n in range(10)] + [10] * 10)


def test_the_histogram_shows_the_share_of_each_value_in_each_split() -> None:
    counts = {
        "training": torch.arange(256),
        "validation": torch.ones(256, dtype=torch.int64),
        "test": torch.arange(256).flip(0),
    }
    (axes,) = draw_pixel_histogram(counts).axes
    for patch, numbers in zip(axes.patches, counts.values(), strict=True):
        values, edges, _ = patch.get_data()  # type: ignore[attr-defined]
        np.testing.assert_allclose(values, 100 * numbers.numpy() / numbers.sum().item(), rtol=1e-6)
        assert (edges[0], edges[-1]) == (-0.5, 255.5)
    assert axes.get_yscale() == "log"


def test_a_row_of_the_confusion_matrix_is_a_true_digit() -> None:
    counts = torch.diag(torch.full((10,), 5))
    counts[4, 9] = 3
    (axes,) = confusion_matrix(counts, "0123456789").axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted digit", "true digit")
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(digit, digit): "5" for digit in range(10)} | {(9, 4): "3"}


def test_classes_are_named_in_the_confusion_matrix() -> None:
    names = ("a shirt", "a shoe", "a bag")
    (axes,) = confusion_matrix(torch.eye(3, dtype=torch.int64), names, "class").axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert tuple(label.get_text() for label in labels) == names


def history(*losses: float) -> History:
    return [
        {"epoch": float(epoch), "train/loss": 2 * loss, "val/loss": loss}
        for epoch, loss in enumerate(losses, start=1)
    ]


def test_a_line_is_the_mean_over_seeds_and_the_band_a_standard_deviation() -> None:
    # An epoch is drawn if all runs reached it.
    groups = {"one": [history(0.4, 0.2, 0.1), history(0.6, 0.3)], "two": [history(0.5)]}
    (axes,) = draw_overlaid_curves(groups).axes
    train, val, *_ = axes.lines
    assert list(val.get_ydata()) == pytest.approx([0.5, 0.25])  # type: ignore[arg-type]
    assert list(train.get_ydata()) == pytest.approx([1.0, 0.5])  # type: ignore[arg-type]
    assert (train.get_linestyle(), val.get_linestyle()) == ("--", "-")
    (band,) = axes.collections
    assert extents(band) == pytest.approx(
        (0.25 - np.std([0.2, 0.3], ddof=1), 0.5 + np.std([0.4, 0.6], ddof=1))
    )


def extents(band: Any) -> tuple[float, float]:
    (path,) = band.get_paths()
    return path.get_extents().y0, path.get_extents().y1


def test_a_band_that_would_reach_below_0_ends_at_the_smallest_value() -> None:
    (axes,) = draw_overlaid_curves({"one": [history(1.0), history(0.001)]}).axes
    low, high = extents(axes.collections[0])
    assert low == pytest.approx(0.001) and high == pytest.approx(0.5005 + 0.999 / 2**0.5)


def test_a_learning_curve_is_the_mean_over_seeds_by_training_images() -> None:
    figure = draw_learning_curve(
        {"a": {1000: [0.9, 0.92], 100: [0.7, 0.8]}, "b": {100: [0.5]}}, "test"
    )
    (axes,) = figure.axes
    line = next(each for each in axes.lines if each.get_label() == "a")
    np.testing.assert_allclose(np.array(line.get_xydata()), [[100, 75], [1000, 91]])
    spread = 100 * np.std([0.7, 0.8], ddof=1), 100 * np.std([0.9, 0.92], ddof=1)
    assert extents(axes.collections[0]) == pytest.approx((75 - spread[0], 91 + spread[1]))
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["100", "1,000"]
    figure.savefig(io.BytesIO())


@pytest.mark.parametrize(("length", "number"), [(8, 1), (90, 3), (150, 30)])
def test_the_names_in_a_leaderboard_are_whole_however_long(
    length: int, number: int, tmp_path: Path
) -> None:
    run = Run(tmp_path, metrics={"val/accuracy": 0.9})  # whose curve is missing
    groups = [Group(f"{place:03}" + "a" * (length - 3), [run]) for place in range(number)]
    figure = draw_leaderboard("a sweep", groups, 40)
    figure.draw_without_rendering()  # matplotlib warns if there is no room for the axes
    upper, lower = figure.axes
    boxes = [label.get_window_extent() for label in upper.get_yticklabels()]
    assert len(boxes) == number and min(box.x0 for box in boxes) >= 0
    assert upper.get_window_extent().width > 200 < lower.get_window_extent().width


def test_without_validation_the_training_loss_is_drawn_alone() -> None:
    rows = [{"epoch": 1.0, "train/loss": 0.5}, {"epoch": 2.0, "train/loss": 0.3}]
    figure = draw_overlaid_curves({"final": [rows, rows]})
    (axes,) = figure.axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[0.5, 0.3], []]  # type: ignore[arg-type]
    legend = axes.get_legend()
    assert legend and [text.get_text() for text in legend.get_texts()] == ["training"]
    figure.savefig(io.BytesIO())


def test_each_of_many_groups_has_a_colour_of_its_own_and_a_name() -> None:
    groups = {f"group {place}": [history(0.4 + place, 0.2 + place)] for place in range(23)}
    figure = draw_overlaid_curves(groups)
    (axes,) = figure.axes
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(groups)
    assert len({str(line.get_color()) for line in axes.lines}) == 23
    figure.savefig(io.BytesIO())
