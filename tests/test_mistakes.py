"""Why a model was wrong: nearest training images, deciding pixels, and what the page holds."""

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.neighbors import NearestNeighbors  # type: ignore[import-untyped]
from support import SMALL, train
from torch import nn

from digits.data.datasets import CLASSES, LabelledImages, load_sample
from digits.evaluate import evaluate
from digits.mistakes import (
    NUM_EXPLAINED,
    PER_CELL,
    Explanation,
    deciding_pixels,
    explain,
    mistakes_html,
    nearest_images,
)
from digits.model_file import TrainedClassifier, load
from digits.models.measure import measure
from digits.models.networks import MLP, Ensemble, Normalized

TEST, TRAIN = load_sample("test"), load_sample("train")
PAIRS = [(3, 5), (8, 9), (0, 0), (4, 7)]


def classifier(network: nn.Module, mean: float = 0.1, std: float = 0.3) -> TrainedClassifier:
    return TrainedClassifier(network, mean, std, {"classes": list(CLASSES)}).eval()


def test_pixels_that_decide_are_a_linear_networks_terms() -> None:
    network = MLP([])
    found = deciding_pixels(classifier(network), TEST.images[:4], PAIRS)
    weights, pixels = network[1].weight.detach(), TEST.images[:4].flatten(1) / 255 / 0.3
    true, predicted = torch.tensor(PAIRS).T
    expected = (weights[predicted] - weights[true]) * pixels
    torch.testing.assert_close(found.flatten(1), expected)


def hidden(network: MLP, images: torch.Tensor, mean: float, std: float) -> Any:
    values = (images.flatten(1) / 255 - mean) / std
    return nn.functional.linear(values, network[1].weight, network[1].bias).relu().detach()


def test_nearest_images_are_those_of_scikit_learn() -> None:
    networks = [MLP([32]), MLP([20])]
    statistics = [(0.5, 0.5), (0.1, 0.3)]
    members = [
        Normalized(network, *both) for network, both in zip(networks, statistics, strict=True)
    ]
    compared = torch.arange(0, 4000, 3)
    for model, kept in (
        (classifier(networks[1]), [1]),
        (classifier(Ensemble(members), 0, 1), [0, 1]),
    ):
        own, others = [], []
        for number in kept:
            seen = (networks[number], *statistics[number])
            mine, theirs = (hidden(seen[0], x, *seen[1:]) for x in (TEST.images[:4], TRAIN.images))
            scale = mine.square().sum(1).mean().sqrt()
            own.append(mine / scale)
            others.append(theirs / scale)
        mine, theirs = torch.cat(own, 1), torch.cat(others, 1)
        found = nearest_images(model, TEST.images[:4], PAIRS, TRAIN, compared)
        for row, (pair, both) in enumerate(zip(PAIRS, found, strict=True)):
            for label, places in zip(pair, both, strict=True):
                of_class = compared[TRAIN.labels[compared] == label]
                expected = NearestNeighbors(n_neighbors=3).fit(theirs[of_class])
                order = expected.kneighbors(mine[row : row + 1], return_distance=False)[0]
                assert places == of_class[order].tolist()


def test_a_network_without_layers_is_compared_by_its_logits() -> None:
    class Bare(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1)[:, 400:410] * 2

    found = nearest_images(classifier(Bare()), TEST.images[:2], PAIRS[:2], TRAIN, torch.arange(50))
    assert all(len(places) == 3 for both in found for places in both)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("runs") / "run"
    train(folder, *SMALL, "trainer.max_epochs=1")
    return folder


def test_neighbours_are_images_that_the_network_was_trained_on(
    run_dir: Path, tmp_path: Path
) -> None:
    model = load(run_dir)
    evaluation = evaluate(model, run_dir / "model.pt", tmp_path, "val")
    weights = [weight.clone() for weight in model.parameters()]
    images, mistakes = evaluation.images.images, evaluation.measures.mistakes
    found = explain(model, images, mistakes, tmp_path)
    assert "of the 640 training images" in found.note
    places = {place for both in found.nearest for each in both for place in each}
    seen = {image.numpy().tobytes() for image in images}
    assert not any(found.train[place].numpy().tobytes() in seen for place in places)
    for mistake, both in zip(mistakes, found.nearest, strict=False):
        for label, each in zip((mistake.label, mistake.predicted), both, strict=True):
            assert (TRAIN.labels[each] == label).all()
    assert all(map(torch.equal, weights, model.parameters()))


def test_without_the_training_images_the_page_says_so(run_dir: Path, tmp_path: Path) -> None:
    model = load(run_dir)
    evaluation = evaluate(model, run_dir / "model.pt", tmp_path)
    split = model.record["split"] | {"split_seed": 1}
    model.record = model.record | {"split": split}
    images, measures = evaluation.images, evaluation.measures
    found = explain(model, images.images, measures.mistakes, tmp_path)
    assert "There are no nearest ones here" in found.note and not found.nearest
    page = mistakes_html(images, evaluation.logits, measures, found, CLASSES)
    assert "other validation images than those of the training" in page


def content_of(page: str) -> tuple[dict[str, Any], np.ndarray]:
    """Return a page's data, and the tiles of its first sprite."""
    found = re.search(r'<script id="content" type="application/json">(.*)</script>', page)
    sprite = re.search(r"url\(data:image/png;base64,(.*?)\)", page)
    assert found and sprite
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(sprite[1]))))
    tiles = sheet.reshape(-1, 28, 50, 28).swapaxes(1, 2).reshape(-1, 28, 28)
    return json.loads(found[1]), tiles


def test_a_page_holds_some_images_of_every_cell_and_stays_small(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = classifier(MLP([16]))  # as wrong as can be
    data = LabelledImages(torch.cat([TRAIN.images] * 2), torch.cat([TRAIN.labels] * 2))
    logits = torch.randn(len(data.labels), 10)
    measures = measure(logits, data.labels)
    shown = measures.mistakes[:NUM_EXPLAINED]
    indices, pairs = [x.index for x in shown], [(x.label, x.predicted) for x in shown]
    deciding = deciding_pixels(model, data.images[indices], pairs)
    nearest = nearest_images(model, data.images[indices], pairs, TRAIN, torch.arange(4000))
    explanation = Explanation(deciding, nearest, TRAIN.images, "")
    page = mistakes_html(data, logits, measures, explanation, CLASSES)
    assert len(page) < 2.5e6
    content, tiles = content_of(page)
    cells = np.zeros((10, 10), int)
    for tile, image in enumerate(content["images"]):
        assert image["true"] == data.labels[image["index"]]
        assert image["predicted"] == logits[image["index"]].argmax()
        np.testing.assert_array_equal(tiles[tile], data.images[image["index"], 0])
        cells[image["true"], image["predicted"]] += 1
    assert (cells >= measures.confusion.clamp(max=PER_CELL).numpy()).all()
    assert cells.sum() <= 100 * PER_CELL + NUM_EXPLAINED
    explained = [image for image in content["images"] if "number" in image]
    assert len(explained) == NUM_EXPLAINED
    for image in explained:
        places = [*nearest[image["number"]]]
        np.testing.assert_array_equal(tiles[image["nearest"]], TRAIN.images[places, 0])


def test_names_of_classes_are_shown_as_they_are(run_dir: Path, tmp_path: Path) -> None:
    evaluation = evaluate(load(run_dir), run_dir / "model.pt", tmp_path)
    names = ["</script>", "<b>", *CLASSES[2:]]
    nothing = Explanation(torch.empty(0, 28, 28), [], TRAIN.images, "")
    measures = replace(evaluation.measures, mistakes=[])
    page = mistakes_html(evaluation.images, evaluation.logits, measures, nothing, names)
    assert content_of(page)[0]["classes"] == names
    assert page.count("</script>") == 1 and "<b>" not in page.split("<template")[0]
