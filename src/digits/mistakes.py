"""Why a model was wrong: the images behind a confusion matrix, for one section of a page.

Of each mistake it has the training images that are nearest to it, and the pixels that decided.
"""

import base64
import copy
import io
import json
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from digits.data.datasets import SIDE, LabelledImages, read
from digits.data.split import split_hash
from digits.data.validation import split_images
from digits.errors import DigitsError
from digits.model_file import SPLIT, TrainedClassifier
from digits.models.measure import Measures, Mistake
from digits.models.networks import Ensemble, Normalized
from digits.page import render

PER_CELL, NUM_EXPLAINED, NUM_NEAREST = 20, 250, 3
"""Images in the page for each cell, mistakes that are explained, and neighbours of each class: the
page of the weakest network is below 3 MB."""
NUM_CONVOLVED = 10_000
"""Training images that convolutions compute: as long as the evaluation itself, not six times."""
COLUMNS, BATCH_SIZE = 50, 1000
FOR, AGAINST = (240, 125, 40), (50, 145, 255)
"""Colours of pixels that speak for the predicted class, and for the true one."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """The most confident mistakes explained, in the order of `Measures.mistakes`.

    Attributes:
        deciding: float (n, 28, 28), see `deciding_pixels`.
        nearest: of each mistake the places in `train` of the nearest images of the true class and
            of the predicted one, the nearest first; empty without training images.
        train: the images, uint8 (m, 1, 28, 28).
        note: says which these are, or why there are none.
    """

    deciding: Tensor
    nearest: Sequence[tuple[list[int], list[int]]]
    train: Tensor
    note: str


def explain(
    model: TrainedClassifier, images: Tensor, mistakes: Sequence[Mistake], data_dir: Path
) -> Explanation:
    """Explain mistakes on some of the images, uint8 (n, 1, 28, 28), each seen as it is."""
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    model = copy.deepcopy(model).to(device).float().eval()
    shown = mistakes[:NUM_EXPLAINED]
    wrong = images[[each.index for each in shown]].to(device)
    pairs = [(each.label, each.predicted) for each in shown]
    deciding = deciding_pixels(model, wrong, pairs) if shown else torch.empty(0, SIDE, SIDE)
    try:
        train, compared, note = _training_images(model, data_dir)
    except DigitsError as error:
        return Explanation(deciding, [], images[:0], f"There are no nearest ones here: {error}.")
    nearest = nearest_images(model, wrong, pairs, train, compared) if shown else []
    return Explanation(deciding, nearest, train.images, note)


def deciding_pixels(model: nn.Module, images: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """Return gradient x input of the predicted class's logit minus the true one's: (n, 28, 28).

    A pixel above 0 speaks for the predicted class, one below 0 for the true class; empty ground is
    0. Shrikumar et al., "Learning important features through propagating activation differences",
    ICML 2017, section 2.

    Args:
        model: from pixels in [0, 1] to logits.
        images: uint8 (n, 1, 28, 28).
        pairs: the true and the predicted class of each.
    """
    pixels = (images / 255).requires_grad_()
    # cuDNN's recurrent layers refuse a gradient in evaluation.
    with torch.backends.cudnn.flags(enabled=False):
        logits = model(pixels).gather(1, torch.tensor(pairs, device=images.device))
    margin = (logits[:, 1] - logits[:, 0]).sum()
    (gradient,) = torch.autograd.grad(margin, pixels, materialize_grads=True)
    return (gradient * pixels).detach().squeeze(1).cpu()


@torch.inference_mode()
def nearest_images(
    model: TrainedClassifier,
    images: Tensor,
    pairs: Sequence[tuple[int, int]],
    train: LabelledImages,
    compared: Tensor,
) -> list[tuple[list[int], list[int]]]:
    """Return the places of the nearest training images of both classes, of those `compared`.

    The distance is Euclidean, between the activations that the last layer with weights receives. Of
    an ensemble the members' squared distances are added, each divided by the mean square of the
    activations, so that all members count alike.
    """
    members = [
        each.network
        for each in model.modules()
        if isinstance(each, Normalized) and not isinstance(each.network, Ensemble)
    ]
    taken: list[Tensor] = []
    hooks = []
    for member in members or [model.network]:
        for last in [each for each in member.modules() if _is_weighted(each)][-1:]:
            hook = last.register_forward_pre_hook(lambda _, inputs: taken.extend(inputs[:1]))
            hooks.append(hook)

    def activations(some: Tensor) -> list[Tensor]:
        taken.clear()
        logits = model(some.to(images.device))
        # A user's own network may use a layer's weights without calling the layer.
        found = [each.flatten(1) for each in taken if len(each) == len(some)]
        return found or [logits]

    own, batches = activations(images), []
    for places in torch.split(compared, BATCH_SIZE):
        squares = [
            torch.cdist(ours, theirs).square() / ours.square().sum(dim=1).mean()
            for ours, theirs in zip(own, activations(train.images[places]), strict=True)
        ]
        batches.append(torch.stack(squares).sum(dim=0).cpu())
    for hook in hooks:
        hook.remove()
    distances = torch.cat(batches, dim=1)
    labels = train.labels[compared]
    columns = [torch.nonzero(labels == each)[:, 0] for each in range(len(model.classes))]

    def nearest(row: Tensor, label: int) -> list[int]:
        of_class = columns[label]
        number = min(NUM_NEAREST, len(of_class))
        found = row[of_class].topk(number, largest=False).indices
        places: list[int] = compared[of_class[found]].tolist()
        return places

    return [
        (nearest(row, true), nearest(row, predicted))
        for row, (true, predicted) in zip(distances, pairs, strict=True)
    ]


def _is_weighted(layer: nn.Module) -> bool:
    weight = getattr(layer, "weight", None)
    return isinstance(weight, Tensor) and weight.ndim > 1


def _training_images(
    model: TrainedClassifier, data_dir: Path
) -> tuple[LabelledImages, Tensor, str]:
    """Return all images for training, and which the model, or a member of it, was trained on."""
    dataset = model.record["dataset"]
    data, indices = read(data_dir, "train", dataset), []
    is_ensemble = isinstance(model.network, Ensemble)
    for record in model.record["arguments"]["members"] if is_ensemble else [model.record]:
        split = record["split"]
        options = {name: split[name] for name in SPLIT if name != "val_sha256"}
        trained_on, kept_apart = split_images(data_dir, dataset, data.labels, **options)
        if split["val_sha256"] not in (None, split_hash(kept_apart)):
            raise DigitsError(f"{data_dir} gives other images than those of the training")
        indices.append(trained_on)
    chosen = torch.unique(torch.cat(indices))
    note = f"the {len(chosen):,} training images"
    convolves = any(isinstance(each, _ConvNd) for each in model.modules())
    if convolves and len(chosen) > NUM_CONVOLVED:
        note = f"{NUM_CONVOLVED:,} of {note}"
        chosen = chosen[torch.arange(NUM_CONVOLVED) * len(chosen) // NUM_CONVOLVED]
    note = f"The nearest ones are of {note}, by the Euclidean distance of the last hidden layer."
    return data, chosen, note


def mistakes_html(
    data: LabelledImages,
    logits: Tensor,
    measures: Measures,
    explanation: Explanation,
    classes: Sequence[str],
) -> str:
    """Return a confusion matrix whose cells can be clicked, and the images that they show."""
    number_of = {
        mistake.index: number for number, mistake in enumerate(measures.mistakes[:NUM_EXPLAINED])
    }
    chosen = _chosen(data.labels, logits, number_of)
    near = sorted({place for pair in explanation.nearest for each in pair for place in each})
    tile_of = {place: len(chosen) + number for number, place in enumerate(near)}
    shown = []
    for index, true, predicted, confidence in chosen:
        entry: dict[str, Any] = {
            "index": index,
            "true": true,
            "predicted": predicted,
            "confidence": confidence,
        }
        shown.append(entry)
        if (number := number_of.get(index)) is not None:
            pairs = explanation.nearest[number] if explanation.nearest else ()
            entry |= {"number": number, "nearest": [[tile_of[x] for x in each] for each in pairs]}
    tiles = torch.cat([data.images[[each[0] for each in chosen]], explanation.train[near]])
    counts = measures.confusion
    shares = (counts / counts.sum(dim=1, keepdim=True).clamp(min=1)).fill_diagonal_(0)
    content = {"classes": list(classes), "images": shown, "counts": counts.tolist()}
    return render(
        "pages/evaluation.html",
        classes=classes,
        counts=counts.tolist(),
        shades=(shares / shares.max().clamp(min=1e-9)).tolist(),
        columns=COLUMNS,
        sprite=_sprite(tiles.squeeze(1).numpy()),
        overlay=_sprite(_coloured(explanation.deciding.numpy())),
        content=json.dumps(content, separators=(",", ":")).replace("<", "\\u003c"),
        note=explanation.note,
        per_cell=PER_CELL,
        num_explained=len(explanation.deciding),
        num_mistakes=len(measures.mistakes),
    )


def _chosen(
    labels: Tensor, logits: Tensor, explained: Container[int]
) -> list[tuple[int, int, int, float]]:
    """Return index, label, predicted class and confidence of the images to show.

    Of each cell these are the most confident mistakes, or the least confident correct ones.
    """
    confidences, predictions = logits.double().softmax(dim=1).max(dim=1)
    order = torch.where(predictions == labels, confidences, -confidences).argsort(stable=True)
    chosen, number_of = [], Counter[tuple[int, int]]()
    rows = zip(*(each[order].tolist() for each in (labels, predictions, confidences)), strict=True)
    for index, (label, predicted, confidence) in zip(order.tolist(), rows, strict=True):
        number_of[label, predicted] += 1
        if number_of[label, predicted] <= PER_CELL or index in explained:
            chosen.append((index, label, predicted, round(confidence, 6)))
    return chosen


def _coloured(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return colours (n, 28, 28, 4) whose opacity is the value's size by the image's largest."""
    strength = np.abs(values) / np.maximum(np.abs(values).max(axis=(1, 2), keepdims=True), 1e-12)
    opacity = np.round(np.sqrt(strength) * 15)[..., None] * 17  # few values, for a small file
    colours = np.where(values[..., None] > 0, FOR, AGAINST) * (opacity > 0)
    return np.concatenate([colours, opacity], axis=-1).astype(np.uint8)


def _sprite(tiles: NDArray[np.uint8]) -> str:
    """Return tiles (n, 28, 28) or (n, 28, 28, 4) side by side as a PNG file in base64."""
    rows = max(1, -(-len(tiles) // COLUMNS))
    sheet = np.zeros((rows * COLUMNS, *tiles.shape[1:]), np.uint8)
    sheet[: len(tiles)] = tiles
    sheet = sheet.reshape(rows, COLUMNS, *tiles.shape[1:]).swapaxes(1, 2)
    picture = Image.fromarray(sheet.reshape(rows * SIDE, COLUMNS * SIDE, *tiles.shape[3:]))
    picture.save(written := io.BytesIO(), "PNG")
    return base64.b64encode(written.getvalue()).decode()
