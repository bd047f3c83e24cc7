import io
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from digits.data.sample import load_sample
from digits.figures import DPI, digit_grid, save_figure


def drawn(figure: Figure) -> Tensor:
    """The picture's grey values, (height, width), 0 to 255."""
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


def test_floats_are_drawn_from_the_least_to_the_greatest_unless_limits_are_given() -> None:
    images = torch.full((1, 28, 28), 2.0)
    images[0, :14] = 1.0
    assert drawn(digit_grid(images))[10, 20] == 0
    assert drawn(digit_grid(images))[80, 20] == 255
    assert drawn(digit_grid(images, limits=(0, 4)))[10, 20] == pytest.approx(64, abs=1)


def test_bytes_are_drawn_from_0_to_255_whatever_there_is() -> None:
    images = torch.full((1, 1, 28, 28), 100, dtype=torch.uint8)
    assert drawn(digit_grid(images))[20, 20] == pytest.approx(100, abs=1)


def test_images_of_one_value_can_be_drawn() -> None:
    drawn(digit_grid(torch.zeros(2, 28, 28)))
    drawn(digit_grid(torch.full((2, 28, 28), torch.nan), limits=(0, 1)))


def test_titles_stand_over_their_images_and_hide_none() -> None:
    images = torch.full((7, 28, 28), 255, dtype=torch.uint8)
    titles = [f"first {n}\nsecond" for n in range(7)]
    figure = digit_grid(images, titles, columns=4, title="a heading " * 30)
    heading, *texts = figure.axes[0].texts
    assert heading.get_text().split() == ["a", "heading"] * 30
    assert [text.get_text() for text in texts] == titles
    tiles = drawn(digit_grid(255 - images, titles, columns=4, title="a heading " * 30)) == 0
    # Texts are drawn in black as well; a tile is black over its whole width.
    rows_of_tiles = tiles[:, 6:90].all(dim=1)
    assert int(rows_of_tiles.sum()) == 2 * 84

    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in (heading, *texts)]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
    assert all(box.y0 >= 0 and box.y1 <= figure.bbox.height for box in boxes)
    assert not any(boxes[0].overlaps(box) for box in boxes[1:])
    starts = [3 * row for row in range(1, len(rows_of_tiles) // 3) if rows_of_tiles[3 * row]]
    top_of_first = figure.bbox.height - starts[0]
    assert all(box.y0 >= top_of_first for box in boxes[:5])


def test_a_saved_picture_is_whole(tmp_path: Path) -> None:
    save_figure(digit_grid(torch.zeros(3, 28, 28)), tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as image:
        image.load()
        assert image.size == (3 * 152, 3 * 32)
    assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]
