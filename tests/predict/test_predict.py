import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from digits.data.datasets import load_sample
from digits.errors import DigitsError
from digits.predict.predict import (
    Prediction,
    as_chart,
    as_error,
    as_json,
    as_line,
    find_pictures,
    paths_of_seen,
    predict,
    prepare,
    printable,
    write_seen,
)

IMAGES = load_sample("test").images[:7]


class Spy:
    """A model whose logits are an image's first ten column sums; remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[torch.Tensor] = []

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.batches.append(images)
        return images[:, 0, :, 9:19].float().sum(1) / 255


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[str, DigitsError | None]]:
    paths = [tmp_path / f"{number}.png" for number in range(len(IMAGES))]
    for path, image in zip(paths, IMAGES, strict=True):
        Image.fromarray(image[0].numpy()).save(path)
    return [(str(path), None) for path in paths]


def predicted(spy: Any, files: Any, size: int = 3) -> list[Prediction]:
    return list(predict(spy, files, size))


def test_the_model_gets_bytes_in_batches(files: Any) -> None:
    spy = Spy()
    predicted(spy, files)
    assert [tuple(batch.shape) for batch in spy.batches] == [(3, 1, 28, 28)] * 2 + [(1, 1, 28, 28)]
    assert all(batch.dtype == torch.uint8 for batch in spy.batches)


def test_probabilities_are_the_softmax_of_each_pictures_own_logits(files: Any) -> None:
    for prediction in predicted(Spy(), files):
        assert prediction.image is not None
        logits = prediction.image[:, 9:19].astype(float).sum(0) / 255
        expected = np.exp(logits - logits.max())
        assert prediction.probabilities == pytest.approx(expected / expected.sum(), abs=1e-5)
        assert prediction.ranked()[0] == int(logits.argmax())


def test_what_fails_keeps_its_place_and_stops_nothing(files: Any, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    mixed = [*files[:2], (str(tmp_path / "empty.png"), None), ("*.x", DigitsError("no\n file"))]
    found = predicted(Spy(), [*mixed, *files[2:]])
    assert [each.file for each in found] == [file for file, _ in [*mixed, *files[2:]]]
    assert [each.error for each in found] == [None, None, "is empty", "no file"] + [None] * 5
    assert all(bool(each.probabilities) == (each.error is None) for each in found)


def test_the_model_is_not_asked_where_every_file_fails() -> None:
    spy = Spy()
    assert [each.error for each in predicted(spy, [("a", DigitsError("b"))])] == ["b"]
    assert not spy.batches


def test_no_more_than_a_batch_is_in_memory(files: Any) -> None:
    taken = 0

    def counted() -> Iterator[Any]:
        nonlocal taken
        for each in files:
            taken += 1
            yield each

    results = predict(Spy(), counted(), 2)  # type: ignore[arg-type]
    next(results)
    assert taken == 2


def test_dark_on_light_and_light_on_dark_are_the_same_digit(tmp_path: Path) -> None:
    for image in IMAGES[:, 0].numpy():
        Image.fromarray(image).save(tmp_path / "light.png")
        Image.fromarray(255 - image).save(tmp_path / "dark.png")
        light, dark = (prepare(tmp_path / name).astype(int) for name in ("light.png", "dark.png"))
        assert np.abs(light - dark).mean() < 4


def found(*arguments: Path | str) -> list[str]:
    pairs = find_pictures([str(each) for each in arguments])
    return [file if error is None else f"{file}: {error}" for file, error in pairs]


def touch(folder: Path, *names: str) -> list[str]:
    for name in names:
        (folder / name).touch()
    return [str(folder / name) for name in names]


def test_files_stay_in_the_order_in_which_they_are_given(tmp_path: Path) -> None:
    given = touch(tmp_path, "b.png", "a.txt", "c.jpg")
    assert found(*given) == given


def test_a_folder_means_its_pictures_in_sorted_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.PNG", "a.jpeg", "notes.txt", ".hidden.png", "c.tif")
    (tmp_path / "folder.png").mkdir()
    assert found(tmp_path) == [str(tmp_path / name) for name in ("a.jpeg", "b.PNG", "c.tif")]


def test_a_pattern_that_the_shell_left_is_expanded_unless_a_file_has_that_name(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "b.png", "a.png", "c.jpg", "photo [1].png", "photo 1.png")
    assert found(tmp_path / "?.png") == [str(tmp_path / name) for name in ("a.png", "b.png")]
    assert found(tmp_path / "photo [1].png") == [str(tmp_path / "photo [1].png")]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("none.png", "there is no such file"),
        ("*.gif", "no file matches"),
        ("empty", "there are no pictures in this folder"),
        ("x" * 5000, "cannot be read"),
        ("a\0b", ""),
    ],
)
def test_what_means_no_file_is_reported_and_the_others_are_found(
    argument: str, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (file,) = touch(tmp_path, "a.png")
    error, other = found(tmp_path / argument, file)
    assert other == file
    assert error.startswith(f"{tmp_path / argument}: ")
    assert expected in error
    assert "\n" not in error


GOOD = Prediction("a.png", probabilities=(0, 0.015, 0, 0, 0, 0, 0, 0.98, 0, 0.005))
BAD = Prediction("b\n.png", error="is empty")


def test_json_has_the_form_that_programs_rely_on() -> None:
    assert json.loads(as_json(GOOD)) == {
        "file": "a.png",
        "digit": 7,
        "probability": 0.98,
        "probabilities": [0, 0.015, 0, 0, 0, 0, 0, 0.98, 0, 0.005],
    }
    assert json.loads(as_json(BAD)) == {"file": "b\n.png", "error": "is empty"}


def test_everything_is_one_line_whatever_the_files_name() -> None:
    assert "\n" not in as_json(BAD) + as_error(BAD)
    assert as_error(BAD) == "error: b\\n.png: is empty"
    assert printable("\x1b[31mred\udcff") == "\\x1b[31mred\\udcff"


def test_a_line_names_the_digit_and_the_runner_up() -> None:
    assert as_line(GOOD, 8).split() == ["a.png", "7", "98.00%", "then", "1", "1.50%"]


def test_a_chart_has_ten_bars_as_long_as_the_probabilities() -> None:
    first, *bars = as_chart(GOOD).splitlines()
    assert first == "a.png: 7"
    assert [bar.count("█") for bar in bars] == [0, 1, 0, 0, 0, 0, 0, 39, 0, 0]


def test_pictures_of_the_same_name_get_files_of_their_own(tmp_path: Path) -> None:
    pictures = ["a/7.png", "b/7.png", "b/7.JPG", "A/7.gif"]
    names = [path.name for path in paths_of_seen(pictures, tmp_path)]
    assert names == ["7-28x28.png", "7-2-28x28.png", "7-3-28x28.png", "7-4-28x28.png"]


def test_no_picture_is_overwritten(tmp_path: Path) -> None:
    pictures = [str(tmp_path / "7.png"), str(tmp_path / "7-28x28.png")]
    assert not {str(path) for path in paths_of_seen(pictures, tmp_path)} & set(pictures)


def test_what_is_written_is_what_the_network_saw(tmp_path: Path) -> None:
    write_seen(tmp_path / "new" / "a.png", IMAGES[0, 0].numpy())
    with Image.open(tmp_path / "new" / "a.png") as image:
        assert (np.asarray(image) == IMAGES[0, 0].numpy()).all()
    (tmp_path / "file").touch()
    with pytest.raises(DigitsError, match="try --show=DIR"):
        write_seen(tmp_path / "file" / "a.png", IMAGES[0, 0].numpy())
