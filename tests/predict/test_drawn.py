"""The page of `digits draw` on MNIST's test images, by Node, against torch and `digits predict`."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from photographs import Trained
from PIL import Image
from scipy import ndimage
from test_draw import forms_by_node

from digits.draw import answers_of, write_draw_page
from digits.predict.predict import predict

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("node"), reason="there is no Node"),
]


def test_every_test_image_gets_the_class_that_torch_gives(trained: Trained, tmp_path: Path) -> None:
    write_draw_page(tmp_path, {"trained": trained.model}, tmp_path)
    (found,) = answers_of(tmp_path / "draw.html", trained.test.images)
    with torch.inference_mode():
        expected = trained.model(trained.test.images).numpy()
    assert (found.argmax(1) == expected.argmax(1)).all()
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


def written(image: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """A test image on a paper of 280 x 280: small or large, anywhere, thinner or thicker."""
    side = int(draw.integers(70, 281))
    ink = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))
    reach = round(draw.uniform(-0.45, 1.2) * side / 28)  # half a stroke of MNIST's is about 1.2
    if abs(reach) > 0:
        y, x = np.mgrid[-abs(reach) : abs(reach) + 1, -abs(reach) : abs(reach) + 1]
        change = ndimage.grey_dilation if reach > 0 else ndimage.grey_erosion
        ink = change(ink, footprint=y * y + x * x <= reach * reach)
    paper = np.zeros((280, 280), np.uint8)
    top, left = draw.integers(0, 281 - side, 2)
    paper[top : top + side, left : left + side] = ink
    return paper


def test_drawings_are_read_as_well_as_by_predict(trained: Trained, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    images, labels = trained.test.images[:500, 0].numpy(), trained.test.labels[:500]
    papers = np.stack([written(image, draw) for image in images])
    files = [tmp_path / f"{i}.png" for i in range(len(papers))]
    for paper, file in zip(papers, files, strict=True):
        Image.fromarray(255 - paper).save(file)  # as the page saves it
    found = [each.number() for each in predict(trained.model, map(str, files))]
    by_predict = [
        number == str(label) for number, label in zip(found, labels.tolist(), strict=True)
    ]
    forms = torch.tensor(forms_by_node(papers), dtype=torch.uint8).view(-1, 1, 28, 28)
    with torch.inference_mode():
        by_page = trained.model(forms).argmax(1) == labels
    assert by_page.double().mean() >= np.mean(by_predict) - 0.005
    assert by_page.double().mean() > trained.least_accuracy - 0.03
