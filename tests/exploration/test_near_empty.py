from pathlib import Path

import torch
from made_up_splits import made_up_splits

from digits.exploration.near_empty import describe_near_empty, inked_pixels


def test_ink_is_what_is_above_half_intensity() -> None:
    images = torch.zeros(4, 1, 28, 28, dtype=torch.uint8)
    images[1] = 127
    images[2, 0, 3, 4:7] = 128
    images[3] = 255
    assert inked_pixels(images).tolist() == [0, 0, 3, 784]


def test_near_empty_and_blank_images_are_counted_and_the_faintest_are_named(tmp_path: Path) -> None:
    splits = made_up_splits()
    for place, pixels in ((7, 0), (11, 19), (3, 20)):
        splits[0].images[place] = 0
        splits[0].images[place].view(-1)[:pixels] = 200
    splits[2].images[5] = 1  # near-empty, and not blank
    counts, faintest = describe_near_empty(splits, tmp_path).tables
    assert [tuple(row[:4]) for row in counts.rows[::2]] == [
        ("training", "2", "1", "0"),
        ("test", "1", "0", "0"),
    ]
    assert [tuple(row) for row in faintest.rows[:3]] == [
        (str(int(splits[0].indices[place])), str(place % 10), pixels)
        for place, pixels in ((7, "0"), (11, "19"), (3, "20"))
    ]
    assert len(faintest.rows) == 10
