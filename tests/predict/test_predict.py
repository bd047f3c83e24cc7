import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from digits.data.datasets import load_sample
from digits.errors import DigitsError
from digits.predict.predict import (
    Digit,
    Prediction,
    as_chart,
    as_json,
    as_line,
    find_pictures,
    paths_of_seen,
    predict,
    prepare,
    printable,
)

IMAGES = load_sample("test").images[:7]


def sums(images: torch.Tensor) -> torch.Tensor:
    """Stand for a model, whose logits are an image's first ten column sums."""
    assert images.dtype == torch.uint8
    return images[:, 0, :, 9:19].float().sum(1) / 255


def predicted(files: list[str]) -> list[Prediction]:
    model: Any = sums
    return list(predict(model, files))


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    paths = [tmp_path / f"{number}.png" for number in range(len(IMAGES))]
    for path, image in zip(paths, IMAGES, strict=True):
        Image.fromarray(image[0].numpy()).save(path)
    return [str(path) for path in paths]


def test_probabilities_are_the_softmax_of_each_pictures_own_logits(files: list[str]) -> None:
    for prediction in predicted(files):
        (digit,) = prediction.digits
        logits = digit.image[:, 9:19].astype(float).sum(0) / 255
        expected = np.exp(logits - logits.max())
        assert digit.probabilities == pytest.approx(expected / expected.sum(), abs=1e-5)
        assert prediction.number() == str(logits.argmax())


def test_what_fails_keeps_its_place_and_stops_nothing(files: list[str], tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    mixed = [*files[:2], str(tmp_path / "empty.png"), str(tmp_path / "none.png"), *files[2:]]
    found = predicted(mixed)
    assert [each.file for each in found] == mixed
    missing = "cannot be read: No such file or directory"
    assert [each.error for each in found] == [None, None, "is empty", missing] + [None] * 5
    assert all(bool(each.digits) == (each.error is None) for each in found)


def test_dark_on_light_and_light_on_dark_are_the_same_digit(tmp_path: Path) -> None:
    for image in IMAGES[:, 0].numpy():
        Image.fromarray(image).save(tmp_path / "light.png")
        Image.fromarray(255 - image).save(tmp_path / "dark.png")
        light, dark = (
            prepare(tmp_path / name)[0].image.astype(int) for name in ("light.png", "dark.png")
        )
        assert np.abs(light - dark).mean() < 4


def found(*arguments: Path | str) -> list[str]:
    return find_pictures([str(each) for each in arguments])


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_a_folder_means_its_pictures_in_sorted_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.PNG", "a.jpeg", "notes.txt", ".hidden.png", "c.tif")
    pictures = [str(tmp_path / name) for name in ("a.jpeg", "b.PNG", "c.tif")]
    assert found(tmp_path) == pictures
    assert found(*reversed(pictures)) == pictures[::-1]  # files stay as they are given


def test_a_pattern_that_the_shell_left_is_expanded_unless_a_file_has_that_name(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "b.png", "a.png", "c.jpg", "photo [1].png", "photo 1.png")
    assert found(tmp_path / "?.png") == [str(tmp_path / name) for name in ("a.png", "b.png")]
    assert found(tmp_path / "photo [1].png") == [str(tmp_path / "photo [1].png")]


def test_an_argument_that_means_no_picture_is_an_error(tmp_path: Path) -> None:
    for argument in (tmp_path, tmp_path / "*.gif"):
        with pytest.raises(DigitsError, match="no pictures; try") as caught:
            found(argument)
        assert str(caught.value).startswith(str(argument))


SEVEN = Digit(np.zeros((28, 28), np.uint8), (0, 0.015, 0, 0, 0, 0, 0, 0.98, 0, 0.005), (1, 2, 3, 4))
GOOD = Prediction("a.png", (SEVEN,))
SEVERAL = Prediction("c.png", (SEVEN, SEVEN))
BAD = Prediction("b\n.png", error="is empty")


def test_everything_is_one_line_whatever_the_files_name() -> None:
    assert "\n" not in as_json(BAD)
    assert printable("\x1b[31mred\udcff") == "\\x1b[31mred\\udcff"


def test_a_line_names_the_digit_and_the_runner_up() -> None:
    assert as_line(GOOD, 8).split() == ["a.png", "7", "98.00%", "then", "1", "1.50%"]


def test_a_chart_has_ten_bars_as_long_as_the_probabilities() -> None:
    first, *bars = as_chart(GOOD).splitlines()
    assert first == "a.png: 7"
    assert [bar.count("█") for bar in bars] == [0, 1, 0, 0, 0, 0, 0, 39, 0, 0]


def test_several_digits_are_told_one_by_one() -> None:
    assert as_line(SEVERAL, 8).split() == ["c.png", "77", "7", "98.00%", "7", "98.00%"]
    first, *lines = as_chart(SEVERAL).splitlines()
    assert first == "c.png: 77 (2 digits, from left to right)"
    assert [line.split() for line in lines] == [["7", "98.00%", "then", "1", "1.50%"]] * 2
    told = json.loads(as_json(SEVERAL))
    assert (told["file"], told["digit"]) == ("c.png", None)
    assert told["digits"][1] == {
        "digit": 7,
        "probability": 0.98,
        "probabilities": list(SEVEN.probabilities),
        "box": [1, 2, 3, 4],
    }


def test_pictures_of_the_same_name_get_files_of_their_own(tmp_path: Path) -> None:
    names = [path.name for path in paths_of_seen(["a/7.png", "b/7.png", "b/7.JPG"], tmp_path)]
    assert names == ["7-28x28.png", "7-2-28x28.png", "7-3-28x28.png"]
