from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from digits.data.sample import load_sample
from digits.errors import DigitsError
from digits.prediction.classifying import Prediction, predict

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
