"""What all of this is for: photos of digits are classified as the digits that they are."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from photographs import KINDS, Trained, in_boxes, photo
from PIL import Image

from digits.predict.predict import Prediction, predict

pytestmark = pytest.mark.slow

NUM_PHOTOS, NUM_OF_A_KIND, NUM_TINY, NUM_IN_BOXES = 200, 8, 100, 100


def classified(trained: Trained, files: Iterable[Path]) -> list[Prediction]:
    return list(predict(trained.model, map(str, files)))


def accuracy(trained: Trained, predictions: list[Prediction]) -> float:
    labels: list[int] = trained.test.labels[: len(predictions)].tolist()
    right = [
        prediction.number() == str(label)
        for prediction, label in zip(predictions, labels, strict=True)
    ]
    return sum(right) / len(right)


def test_95_of_100_photos_of_test_images_are_classified_right(
    trained: Trained, tmp_path: Path
) -> None:
    files = [photo(tmp_path, trained.test.images[i, 0].numpy(), i) for i in range(NUM_PHOTOS)]
    assert accuracy(trained, classified(trained, files)) >= trained.least_accuracy


@pytest.mark.parametrize("kind", KINDS)
def test_photos_under_hard_conditions_are_classified_right(
    kind: str, trained: Trained, tmp_path: Path
) -> None:
    files = [
        photo(tmp_path, trained.test.images[i, 0].numpy(), i, kind) for i in range(NUM_OF_A_KIND)
    ]
    # One of the eight may be wrong, with either network.
    assert accuracy(trained, classified(trained, files)) >= trained.least_accuracy - 0.08


@pytest.mark.parametrize(
    ("num_boxes", "colour"),
    [(1, "black"), (1, "grey"), (3, "blue"), (5, "black"), (5, "grey")],
)
def test_digits_in_printed_boxes_are_classified_right(
    num_boxes: int, colour: str, trained: Trained, tmp_path: Path
) -> None:
    files = [
        in_boxes(tmp_path, trained.test.images[i, 0].numpy(), i, num_boxes, colour)
        for i in range(NUM_IN_BOXES)
    ]
    assert accuracy(trained, classified(trained, files)) >= trained.least_accuracy


def test_an_image_in_mnists_form_is_classified_as_it_is(trained: Trained, tmp_path: Path) -> None:
    images = trained.test.images[:NUM_TINY]
    files = []
    for number, image in enumerate(images):
        files.append(tmp_path / f"{number}.png")
        Image.fromarray(image[0].numpy()).save(files[-1])
    predictions = classified(trained, files)
    with torch.inference_mode():
        raw = trained.model(images).argmax(dim=1)
    right = (raw == trained.test.labels[:NUM_TINY]).float().mean().item()
    assert accuracy(trained, predictions) == pytest.approx(right, abs=0.0101)
    seen = np.stack([digit.image for each in predictions for digit in each.digits])
    # On average, of 255.
    assert np.abs(seen.astype(int) - images[:, 0].numpy()).mean() < 3
