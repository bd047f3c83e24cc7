"""A trained model measured again, as its training did: tables, pictures, a JSON file and a page."""

import copy
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor

from digits.data.batches import EVAL_BATCH_SIZE
from digits.data.datasets import (
    CLASSES,
    LabelledImages,
    class_word,
    labelled,
    read_again,
)
from digits.data.split import normalize
from digits.data.validation import read_validation
from digits.ensemble import NO_VALIDATION, member_name
from digits.errors import DigitsError
from digits.figures import confusion_matrix, digit_grid, reliability_diagram, save_figure
from digits.files import write_atomically
from digits.mistakes import Explanation, mistakes_html
from digits.model_file import TrainedClassifier, run_directory
from digits.models.augmentation import origins, sample
from digits.models.measure import Measures, measure
from digits.models.networks import Ensemble, log_mean_probability
from digits.page import Picture, Section, Table, show_table, write_page
from digits.process import torch_threads
from digits.run_directory import BEST, MODEL, finished_metrics

if TYPE_CHECKING:
    from digits.data.pictures import Pictures

PARTS = {"test": "test", "val": "validation", "pictures": "pictures"}
PAGE = "report.html"
FILES = ("evaluation.json", "confusion_matrix.png", "reliability.png", "mistakes.png")
ROUNDING = 0.001
"""What other machines and releases of torch change: a few of the images, the loss's last digits."""
DTYPES = {"16": torch.float16, "bf16": torch.bfloat16, "32": torch.float32, "64": torch.float64}

VIEWS = {  # shift to the right and down in pixels, and scale
    1: [(0, 0, 1.0)],
    3: [(0, 0, scale) for scale in (0.95, 1.0, 1.05)],
    9: [(right, down, 1.0) for right in (-1, 0, 1) for down in (-1, 0, 1)],
}
"""By their number, the views of an image whose probabilities are averaged."""
OF_VIEWS = {
    3: "the mean of 3 views of each image: 0.95, 1 and 1.05 times its size",
    9: "the mean of 9 views of each image: shifted by up to one pixel",
}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model's results on the images of one part.

    Attributes:
        file: the model.pt or checkpoint that was evaluated.
        part: "test", "val" or "pictures".
        loss: mean cross-entropy in nats.
        record: all that the file says of its model besides the weights.
        logits: float (n, classes).
        members: the results of each member of an ensemble by itself, in their order.
        num_views: of `VIEWS`; 1 for each image as it is.
        pictures: of the user's own, if those are what was measured.
    """

    file: Path
    part: str
    loss: float
    measures: Measures
    images: LabelledImages
    record: Mapping[str, Any]
    logits: Tensor
    members: Sequence["Evaluation"] = ()
    num_views: int = 1
    pictures: "Pictures | None" = None

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of the labels."""
        classes: list[str] = self.record["classes"]
        return classes

    @property
    def word(self) -> str:
        """What a class is called."""
        return class_word(self.classes)

    def image_name(self, index: int) -> str:
        """Return an image's index in its part, or a picture's file in its folder."""
        if self.pictures is None:
            return str(index)
        return str(self.pictures.files[index].relative_to(self.pictures.folder))

    @property
    def name(self) -> str:
        """A member's name as the ensemble's file says it, else the run's."""
        return str(self.record.get("name") or member_name(self.file))


def evaluate(
    model: TrainedClassifier,
    file: Path,
    data_dir: Path,
    part: str = "test",
    num_views: int = 1,
    pictures_dir: Path | None = None,
) -> Evaluation:
    """Measure a saved model as its training did: same images, normalization and precision.

    Of an ensemble each member is measured as well.

    Args:
        model: what `load` returns.
        file: its model.pt or checkpoint, for messages and the report.
        data_dir: the data folder; files that are not there are downloaded to it.
        part: "test", or "val" for the images that the training kept apart.
        num_views: of each image, whose probabilities are averaged: a key of `VIEWS`.
        pictures_dir: holds folders of pictures, named by their classes, to measure on instead.

    Raises:
        DigitsError: the data cannot be used, or the validation images are not those that the
            training kept apart.
    """
    pictures = None
    if pictures_dir:
        from digits.data.pictures import read_pictures  # imports Pillow and SciPy

        pictures = read_pictures(pictures_dir, model.classes, "--pictures")
        images, part = labelled(pictures.images, pictures.labels), "pictures"
    else:
        images = _read_images(file, model.record, data_dir, part)
    metrics = finished_metrics(run_directory(file)) or {}

    def measured(model: TrainedClassifier, members: Sequence[Evaluation] = ()) -> Evaluation:
        with torch_threads(metrics.get("threads")):  # so that sums are rounded alike
            logits, loss = evaluate_network(model, images, num_views)
        measures = measure(logits, images.labels)
        return Evaluation(
            file, part, loss, measures, images, model.record, logits, members, num_views, pictures
        )

    members = []
    if isinstance(model.network, Ensemble):
        records = model.record["arguments"]["members"]
        for record, member in zip(records, model.network.members, strict=True):
            network = member.get_submodule("network")
            trained = TrainedClassifier(network, **record["normalization"], record=record)
            members.append(measured(trained))
    return measured(model, members)


@torch.inference_mode()
def evaluate_network(
    model: TrainedClassifier, data: LabelledImages, num_views: int = 1
) -> tuple[Tensor, float]:
    """Return the logits, (n, classes) on the CPU, and the mean cross-entropy in nats.

    It computes what Lightning's Trainer does in validation and test, in the precision of the
    training, on a GPU if there is one. Of several views the logits are the logarithms of the mean
    probabilities.
    """
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    bits, _, mode = model.record.get("precision", "32-true").partition("-")
    dtype = DTYPES[bits] if mode == "true" else torch.float32
    network = copy.deepcopy(model.network).to(device, dtype).eval()
    batches: list[Tensor] = []
    # Summed as torchmetrics' MeanMetric does in a run; importing it takes as long as torch itself.
    sum_of_losses, number = torch.zeros(2, device=device, dtype=dtype)
    autocast = torch.autocast(device.type, DTYPES[bits], enabled=mode == "mixed")
    split = (torch.split(each, EVAL_BATCH_SIZE) for each in (data.images, data.labels))
    for images, labels in zip(*split, strict=True):
        with autocast:
            found = [
                network(normalize(view, model.mean, model.std).to(dtype))
                for view in views(images.to(device), num_views)
            ]
            logits = log_mean_probability(found) if num_views > 1 else found[0]
            losses = F.cross_entropy(logits, labels.to(device), reduction="none")
        batches.append(logits.float().cpu())
        sum_of_losses += losses.to(dtype).sum()
        number += torch.ones_like(losses, dtype=dtype).sum()
    return torch.cat(batches), (sum_of_losses / number).item()


def views(images: Tensor, number: int) -> Iterator[Tensor]:
    """Yield each of the `VIEWS` of images (n, 1, 28, 28), bytes, as augmentation would make it."""
    still = torch.zeros(len(images), device=images.device)
    for right, down, scale in VIEWS[number]:
        if (right, down, scale) == (0, 0, 1):
            yield images
        else:
            yield sample(images, origins(still, still + scale, still, still + right, still + down))


def _read_images(
    file: Path, record: Mapping[str, Any], data_dir: Path, part: str
) -> LabelledImages:
    if part == "test":
        return read_again(data_dir, "test", record["dataset"])
    split = record["split"]
    if split["val_sha256"] is None:
        raise DigitsError(f"{file}: {NO_VALIDATION}; try --part test")
    found = read_validation(data_dir, record["dataset"], split)
    if not len(found.labels):
        raise DigitsError(
            f"{file} was trained on all images (data.val_size=0), and none is left to validate on; "
            "try --part test"
        )
    return found


def compare_with_metrics(evaluation: Evaluation) -> str:
    """Say whether accuracy and loss are those that the training wrote into metrics.json."""
    run_dir, part = run_directory(evaluation.file), evaluation.part
    metrics = finished_metrics(run_dir)
    if metrics is None:
        return "there is no metrics.json of a finished run to compare with"
    if metrics.get(f"{part}/accuracy") is None:
        return f"metrics.json has no {PARTS[part]} results to compare with"
    if evaluation.file.absolute() not in (run_dir / MODEL, run_dir / BEST):
        return f"metrics.json describes {BEST.name}, not this file"
    number, num_images = metrics[f"num_{part}"], evaluation.measures.num_images
    if number != num_images:
        return f"metrics.json describes {number:,} {PARTS[part]} images, not all {num_images:,}"
    accuracy, loss = metrics[f"{part}/accuracy"], metrics[f"{part}/loss"]
    found = evaluation.measures.accuracy
    if (accuracy, loss) == (found, evaluation.loss):
        return "accuracy and loss are those in metrics.json, to the last digit"
    reason = "the data, the model or metrics.json is not what it was"
    if abs(accuracy - found) <= ROUNDING and math.isclose(loss, evaluation.loss, rel_tol=ROUNDING):
        reason = "other machines and releases of torch round differently"
    return (
        f"metrics.json says accuracy {accuracy:.2%} and loss {loss}, not {found:.2%} and "
        f"{evaluation.loss}: {reason}"
    )


def summary_table(evaluation: Evaluation) -> Table:
    """Return the results on all images."""
    measures = evaluation.measures
    rows = [
        ("images", f"{measures.num_images:,}"),
        ("accuracy", f"{measures.accuracy:.2%}"),
        ("95% interval", _interval(measures)),
        ("mistakes", f"{len(measures.mistakes):,}"),
        ("loss (cross-entropy, nats)", f"{evaluation.loss:.4f}"),
        ("top-2 accuracy", f"{measures.top2_accuracy:.2%}"),
        ("expected calibration error", f"{measures.calibration_error:.2%}"),
    ]
    part = PARTS[evaluation.part]
    views = f", {evaluation.num_views} views" if evaluation.num_views > 1 else ""
    return Table(("metric", part + views), rows)


def _interval(measures: Measures) -> str:
    low, high = measures.interval
    return f"{low:.2%} to {high:.2%}"


def class_table(evaluation: Evaluation) -> Table:
    """Return precision, recall and F1 of each class."""
    measures, classes = evaluation.measures, evaluation.classes
    rows = []
    for label, num_images in enumerate(measures.confusion.sum(dim=1).tolist()):
        rates = (each[label] for each in (measures.precision, measures.recall, measures.f1))
        rows.append((classes[label], f"{num_images:,}", *(f"{rate:.2%}" for rate in rates)))
    return Table((evaluation.word, "images", "precision", "recall", "F1"), rows)


def mistake_table(evaluation: Evaluation, limit: int) -> Table:
    """Return the most confident mistakes."""
    name, classes = evaluation.image_name, evaluation.classes
    rows = [
        (name(each.index), classes[each.label], classes[each.predicted], f"{each.probability:.2%}")
        for each in evaluation.measures.mistakes[:limit]
    ]
    word = evaluation.word
    return Table(("image", f"true {word}", f"predicted {word}", "probability"), rows)


def member_table(evaluation: Evaluation) -> Table:
    """Return the results of each member, in their order, and of the ensemble."""
    rows = []
    for each in (*evaluation.members, evaluation):
        name, measures = "the ensemble" if each is evaluation else each.name, each.measures
        results = f"{measures.accuracy:.2%}", _interval(measures), f"{each.loss:.4f}"
        rows.append((name, *results, f"{measures.calibration_error:.2%}"))
    return Table(("network", "accuracy", "95% interval", "loss", "calibration error"), rows)


def model_table(evaluation: Evaluation) -> Table:
    """Return what the model's file says of it."""
    record = evaluation.record
    rows = [("file", str(evaluation.file)), ("network", str(record["model"]))]
    for each in evaluation.members:
        values = each.record["arguments"] | each.record["normalization"]
        listed = ", ".join(f"{name}={value}" for name, value in values.items())
        rows.append((each.name, f"{each.record['model']}: {listed}"))
    if not evaluation.members:
        values = record["arguments"] | record["normalization"] | record["split"]
        rows += [(name, str(value)) for name, value in values.items()]
    return Table(("property", "value"), rows)


def show(console: Console, evaluation: Evaluation) -> None:
    """Print the tables."""
    show_table(console, summary_table(evaluation))
    if evaluation.members:
        show_table(console, member_table(evaluation))
    show_table(console, class_table(evaluation))
    show_table(console, mistake_table(evaluation, 5))


def write_report(evaluation: Evaluation, explanation: Explanation, folder: Path) -> Path:
    """Write evaluation.json, the pictures and report.html; return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "evaluation.json", json.dumps(as_dict(evaluation), indent=1) + "\n")
    reliability = draw(evaluation, folder)
    clickable = mistakes_html(
        *(evaluation.images, evaluation.logits, evaluation.measures, explanation),
        evaluation.record["classes"],
    )
    script = Path(__file__).with_name("pages") / "evaluation.js"
    sections = [Section("Summary", tables=[summary_table(evaluation)])]
    if evaluation.members:
        text = "The ensemble's probabilities are the means of its members'."
        sections.append(Section("Members", text, tables=[member_table(evaluation)]))
    sections += [
        Section(f"Each {evaluation.word}", tables=[class_table(evaluation)]),
        Section("Mistakes", html=clickable, script=script.read_text(encoding="utf-8")),
        Section("Calibration", pictures=[reliability]),
        Section("The model", tables=[model_table(evaluation)]),
    ]
    if evaluation.pictures and evaluation.pictures.left_out:
        rows = [(str(file), reason) for file, reason in evaluation.pictures.left_out.items()]
        sections.append(Section("Left out", tables=[Table(("picture", "why"), rows)]))
    page = folder / PAGE
    what = f"{PARTS[evaluation.part]} images of {evaluation.record['dataset']}"
    if evaluation.pictures:
        what = f"pictures in {evaluation.pictures.folder}"
    lead = f"{evaluation.measures.num_images:,} {what}, by {evaluation.name}"
    title = f"Evaluation of {evaluation.name}"
    if evaluation.num_views > 1:
        lead += f"; {OF_VIEWS[evaluation.num_views]}"
        title += f" with {evaluation.num_views} views"
    write_page(page, title, f"{lead}.", sections)
    return page


def draw(evaluation: Evaluation, folder: Path) -> Picture:
    """Draw the confusion matrix, the mistakes, if any, and the reliability diagram; return that."""
    measures, classes, word = evaluation.measures, evaluation.classes, evaluation.word
    figure = confusion_matrix(measures.confusion, classes, word)
    save_figure(figure, folder / "confusion_matrix.png")
    if shown := measures.mistakes[:60]:
        images = evaluation.images.images[[mistake.index for mistake in shown]]
        titles = [each.title(classes) for each in shown]
        grid = digit_grid(images, titles, title=f"The {len(shown)} most confident mistakes")
        save_figure(grid, folder / "mistakes.png")
    figure = reliability_diagram(measures.bins, measures.calibration_error)
    save_figure(figure, folder / "reliability.png")
    caption = (
        "Accuracy by confidence; on the dashed line, 90% of the images with confidence 90% are "
        "classified correctly."
    )
    return Picture(folder / "reliability.png", caption)


def as_dict(evaluation: Evaluation) -> dict[str, Any]:
    """Return the content of evaluation.json."""
    part, measures = evaluation.part, evaluation.measures.as_dict()
    if tuple(evaluation.classes) != CLASSES:
        for each, name in zip(measures["classes"], evaluation.classes, strict=True):
            each["class"] = name
    content = {"file": str(evaluation.file), "dataset": evaluation.record["dataset"], "part": part}
    content |= {"num_views": evaluation.num_views, f"{part}/accuracy": measures["accuracy"]}
    content |= {f"{part}/loss": evaluation.loss}
    if pictures := evaluation.pictures:
        measures["mistakes"] = [
            each | {"file": str(pictures.files[each["index"]])} for each in measures["mistakes"]
        ]
        left_out = {str(file): reason for file, reason in pictures.left_out.items()}
        content |= {"pictures": str(pictures.folder), "left_out": left_out}
    if evaluation.members:
        shown = (f"{part}/accuracy", f"{part}/loss", "accuracy_95_low", "accuracy_95_high")
        of_each = [(each.name, as_dict(each)) for each in evaluation.members]
        content["members"] = [
            {"name": name} | {key: values[key] for key in (*shown, "calibration_error")}
            for name, values in of_each
        ]
    return content | measures
