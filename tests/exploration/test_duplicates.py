from pathlib import Path

import torch
from made_up_splits import made_up_splits

from digits.exploration.duplicates import describe_duplicates, equal_images


def test_equal_images_are_found_in_groups() -> None:
    images = made_up_splits()[0].images.clone()
    images[30] = images[10] = images[4]
    images[20] = images[5]
    assert equal_images(images) == [[4, 10, 30], [5, 20]]


def test_one_pixel_makes_a_difference() -> None:
    images = torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
    images[1, 0, 27, 27] = 1
    assert equal_images(images) == [[0, 2]]


def test_the_result_is_that_of_comparing_every_pair() -> None:
    generator = torch.Generator().manual_seed(1)
    images = torch.zeros(300, 1, 28, 28, dtype=torch.uint8)
    images[:, 0, 5, 6] = torch.randint(256, (300,), generator=generator, dtype=torch.uint8)
    equal = (images.flatten(1)[:, None] == images.flatten(1)[None]).all(dim=2)
    expected = {tuple(row.nonzero()[:, 0].tolist()) for row in equal if row.sum() > 1}
    found = equal_images(images)
    assert {tuple(group) for group in found} == expected
    assert len(found) == len(expected)


def test_pairs_are_counted_within_and_across_splits(tmp_path: Path) -> None:
    training, validation, test = splits = made_up_splits()
    training.images[10] = training.images[0]  # both a 0
    training.images[21] = training.images[0]  # a 1
    test.images[3] = training.images[7]
    test.images[8] = validation.images[8]
    section = describe_duplicates(splits, tmp_path)
    (table,) = section.tables
    assert {row[0]: tuple(row[1:]) for row in table.rows} == {
        "within training": ("3", "2"),
        "training and validation": ("0", "0"),
        "training and test": ("1", "1"),
        "within validation": ("0", "0"),
        "validation and test": ("1", "0"),
        "within test": ("0", "0"),
    }
    assert section.text.startswith("Of all 90 images, 7 ")
    assert (tmp_path / "duplicates.png").exists()


def test_where_there_are_none_there_is_no_picture_of_them(tmp_path: Path) -> None:
    section = describe_duplicates(made_up_splits(), tmp_path)
    assert "no two are equal" in section.text
    assert not section.pictures
    assert not list(tmp_path.iterdir())
