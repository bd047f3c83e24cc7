"""An evaluation as tables, pictures, a JSON file and a page."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from digits.ensembles.tables import NO_VALIDATION, member_rows, member_table, members_as_dicts
from digits.evaluation.evaluate import Evaluation
from digits.figures import confusion_matrix, digit_grid, reliability_diagram, save_figure
from digits.files import write_atomically
from digits.page import Picture, Section, Table, show_table, write_page

SHOWN_MISTAKES = 60
PART_NAMES = {"test": "test", "val": "validation"}


def summary(evaluation: Evaluation) -> Table:
    """The figures of the whole."""
    measures = evaluation.measures
    low, high = measures.interval
    rows = [
        ("images", f"{measures.num_images:,}"),
        ("accuracy", f"{measures.accuracy:.2%}"),
        ("95% interval", f"{low:.2%} to {high:.2%}"),
        ("mistakes", f"{len(measures.mistakes):,}"),
        ("loss (cross-entropy, nats)", f"{evaluation.loss:.4f}"),
        ("label among the two most probable", f"{measures.top2_accuracy:.2%}"),
        ("expected calibration error", f"{measures.calibration_error:.2%}"),
    ]
    return Table(("measure", PART_NAMES[evaluation.part]), rows)


def class_table(evaluation: Evaluation) -> Table:
    """Precision, recall and F1 of each digit."""
    measures = evaluation.measures
    rows = [
        (
            str(digit),
            f"{int(measures.confusion[digit].sum()):,}",
            f"{measures.precision[digit]:.2%}",
            f"{measures.recall[digit]:.2%}",
            f"{measures.f1[digit]:.2%}",
        )
        for digit in range(len(measures.precision))
    ]
    return Table(("digit", "images", "precision", "recall", "F1"), rows)


def mistake_table(evaluation: Evaluation, number: int) -> Table:
    """The most confident mistakes."""
    rows = [
        (str(each.index), str(each.label), str(each.predicted), f"{each.probability:.2%}")
        for each in evaluation.measures.mistakes[:number]
    ]
    return Table(("image", "is", "classified as", "probability"), rows)


def pair_table(evaluation: Evaluation, number: int) -> Table:
    """The pairs of digits that are mistaken most often."""
    counts = evaluation.measures.confusion.clone()
    counts.fill_diagonal_(0)
    order = counts.flatten().argsort(descending=True, stable=True)[:number].tolist()
    pairs = [(place // 10, place % 10) for place in order]
    rows = [
        (str(label), str(predicted), str(int(counts[label, predicted])))
        for label, predicted in pairs
        if counts[label, predicted]
    ]
    return Table(("is", "classified as", "times"), rows)


def draw(evaluation: Evaluation, folder: Path) -> dict[str, Picture]:
    """Writes the pictures into an existing folder."""
    measures = evaluation.measures
    figures = {
        "confusion_matrix": (
            confusion_matrix(measures.confusion),
            "Confusion matrix: images by digit (row) and class (column).",
        ),
        "reliability": (
            reliability_diagram(measures.bins, measures.calibration_error),
            "Accuracy by confidence; on the dashed line a confidence of 90% is right in 90%.",
        ),
    }
    if shown := measures.mistakes[:SHOWN_MISTAKES]:
        images = evaluation.images.images[[mistake.index for mistake in shown]]
        titles = [f"{each.label} as {each.predicted}\n{each.probability:.0%}" for each in shown]
        figures["mistakes"] = (
            digit_grid(images, titles, title=f"The {len(shown)} most confident mistakes"),
            "The most confident mistakes: what it is, what it was taken for, how surely.",
        )
    pictures = {}
    for name, (figure, caption) in figures.items():
        pictures[name] = Picture(folder / f"{name}.png", caption)
        save_figure(figure, pictures[name].path)
    return pictures


def write_report(evaluation: Evaluation, folder: Path) -> Path:
    """Writes evaluation.json, the pictures and report.html; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(
        folder / "evaluation.json", (json.dumps(as_dict(evaluation), indent=1) + "\n").encode()
    )
    pictures = draw(evaluation, folder)
    page = folder / "report.html"
    name, part = run_name(evaluation), PART_NAMES[evaluation.part]
    mistakes = [picture for picture in [pictures.get("mistakes")] if picture]
    sections = [
        Section("Summary", tables=[summary(evaluation)]),
        *_member_sections(evaluation),
        Section("Digit by digit", tables=[class_table(evaluation)]),
        Section(
            "Confusion",
            tables=[pair_table(evaluation, 10)],
            pictures=[pictures["confusion_matrix"]],
        ),
        Section("Mistakes", tables=[mistake_table(evaluation, 20)], pictures=mistakes),
        Section("Calibration", pictures=[pictures["reliability"]]),
        Section("The model", tables=[Table(("", "value"), model_rows(evaluation))]),
    ]
    dataset = evaluation.record["dataset"]
    lead = f"{evaluation.measures.num_images:,} {part} images of {dataset}, by {name}."
    write_page(page, f"Evaluation of {name}", lead, sections)
    return page


def _member_sections(evaluation: Evaluation) -> list[Section]:
    if not evaluation.members:
        return []
    text = "The ensemble's probabilities are the means of its members'."
    if evaluation.record["split"]["val_sha256"] is None:
        text += f" Note: {NO_VALIDATION}."
    return [Section("Members", text, tables=[member_table(evaluation)])]


def model_rows(evaluation: Evaluation) -> list[tuple[str, str]]:
    """What the model's file says of it."""
    record = evaluation.record
    rows: list[tuple[str, Any]] = [("file", evaluation.file), ("network", record["model"])]
    if evaluation.members:
        return [(name, str(value)) for name, value in rows] + member_rows(evaluation)
    rows += list(record["arguments"].items())
    rows += list(record["normalization"].items()) + list(record["split"].items())
    return [(name, str(value)) for name, value in rows]


def run_name(evaluation: Evaluation) -> str:
    """The run directory's name, or the checkpoint's below it."""
    folder = evaluation.file.absolute().parent
    if folder.name == "checkpoints":
        return f"{folder.parent.name}/{evaluation.file.name}"
    return folder.name


def as_dict(evaluation: Evaluation) -> dict[str, Any]:
    """Returns what evaluation.json holds."""
    part = evaluation.part
    content = {
        "file": str(evaluation.file),
        "dataset": evaluation.record["dataset"],
        "part": part,
        f"{part}/accuracy": evaluation.accuracy,
        f"{part}/loss": evaluation.loss,
    }
    if evaluation.members:
        content["members"] = members_as_dicts(evaluation)
    return content | evaluation.measures.as_dict()


def show(console: Console, evaluation: Evaluation) -> None:
    """Prints the tables."""
    show_table(console, summary(evaluation))
    if evaluation.members:
        show_table(console, member_table(evaluation))
        if evaluation.record["split"]["val_sha256"] is None:
            console.print(NO_VALIDATION)
    show_table(console, class_table(evaluation))
    show_table(console, mistake_table(evaluation, 5))
