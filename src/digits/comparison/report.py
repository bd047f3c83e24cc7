"""A comparison on the screen and in files."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

from digits.comparison.compare import Comparison
from digits.comparison.difference import verdict
from digits.comparison.tables import (
    as_csv,
    difference_table,
    group_table,
    option_table,
    run_table,
)
from digits.files import whole_file, write_atomically
from digits.page import Picture, Section, as_markdown, show_table, write_page

SHOWN_WARNINGS = 10
SAMPLE = "mnist-sample-5k"
DPI = 120
TITLE = "Comparison"


def verdicts(comparison: Comparison) -> list[str]:
    """Returns one line for each group but the baseline, in the order of the ranking."""
    found = comparison.differences
    return [
        verdict(found[group.name], comparison.corrected[group.name])
        for group in comparison.groups
        if group.name in found
    ]


def warnings(comparison: Comparison) -> list[str]:
    """Returns what a reader must not miss."""
    lines = [f"left out: {each.what}: {each.reason}" for each in comparison.left_out]
    for group in comparison.unranked:
        why = (
            f"it was validated on other images than {comparison.ranked[0].name}"
            if group.val_accuracies
            else "it was not validated"
        )
        lines.append(f"not ranked: {group.name}: {why}")
    if comparison.dataset == SAMPLE:
        lines.append(
            "These are runs on the embedded sample of 5,000 images, not on MNIST: "
            "do not compare these figures with those of MNIST."
        )
    return lines


def notes(comparison: Comparison) -> list[str]:
    """Returns how the figures are to be read."""
    groups = comparison.groups
    several = any(len(group.runs) > 1 for group in groups)
    single = any(len(group.runs) == 1 for group in groups)
    lines = ["Ranked by validation accuracy; the test images have no say in the order."]
    if several:
        lines.append(
            "Of several seeds: mean ± standard deviation over seeds, and Student's 95% interval of "
            "the mean, for these test images."
        )
    if single:
        lines.append("Of one seed: its accuracy, and Wilson's 95% interval over the images.")
    if comparison.differences:
        lines.append("vs baseline: difference of test accuracy in percentage points.")
    tests = {found.test for found in comparison.differences.values()}
    if any(test.startswith("bootstrap") for test in tests):
        lines.append(
            "Differences of groups: ± standard error, 95% interval and p over test images and "
            "seeds, by a paired bootstrap on the same test images."
        )
    if "exact McNemar" in tests:
        lines.append(
            "Differences of two runs: ± standard error, 95% interval and p over test images, p by "
            "McNemar's exact test on the images on which they disagree."
        )
    if len(comparison.differences) > 1:
        lines.append(
            f"p (Holm): corrected for the {len(comparison.differences)} "
            "comparisons shown; each interval is by itself."
        )
    by_note: dict[str, list[str]] = {}
    for found in comparison.differences.values():
        for note in found.notes:
            by_note.setdefault(note, []).append(found.group)
    lines += [f"{', '.join(names)}: {note}." for note, names in by_note.items()]
    return lines


def baseline_line(comparison: Comparison) -> str:
    """Says which group the others are held against, and who chose it."""
    if not comparison.differences:
        return "one group only: there is nothing to compare it with"
    how = "" if comparison.is_named else " (the first one; --baseline chooses another)"
    return f"baseline: {comparison.baseline.name}{how}"


def show(console: Console, comparison: Comparison) -> None:
    """Prints warnings, the ranking and the verdicts."""
    lines = warnings(comparison)
    for line in lines[:SHOWN_WARNINGS]:
        console.print(Text(line, style="bold red"))
    if len(lines) > SHOWN_WARNINGS:
        more = f"and {len(lines) - SHOWN_WARNINGS} more, listed in the files"
        console.print(Text(more, style="bold red"))
    show_table(console, group_table(comparison))
    console.print(Text(baseline_line(comparison)))
    for line in verdicts(comparison):
        console.print(Text(line, style="bold"))
    for line in notes(comparison):
        console.print(Text(line, style="dim"))


def write_report(comparison: Comparison, folder: Path) -> Path:
    """Writes comparison.md, .csv and .html and loss_curves.png; returns the page's path.

    Args:
        comparison: what is written.
        folder: made if it does not exist.
    """
    from digits.figures import draw_overlaid_curves

    folder.mkdir(parents=True, exist_ok=True)
    picture = Picture(
        folder / "loss_curves.png",
        "Loss by epoch, mean over seeds: validation solid, training dashed. The band reaches from "
        "the least to the greatest validation loss of the seeds.",
    )
    figure = draw_overlaid_curves(
        {group.name: [run.history for run in group.runs] for group in comparison.groups}
    )
    with whole_file(picture.path) as temporary:
        figure.savefig(temporary, dpi=DPI)
    sections = _sections(comparison, picture)
    run = comparison.baseline.runs[0]
    lead = (
        f"{sum(len(group.runs) for group in comparison.groups)} runs in "
        f"{len(comparison.groups)} groups, tested on the same {len(run.labels):,} images of "
        f"{comparison.dataset}; {baseline_line(comparison)}."
    )
    write_atomically(folder / "comparison.csv", as_csv(comparison).encode())
    write_atomically(folder / "comparison.md", as_markdown(TITLE, lead, sections).encode())
    write_page(folder / "comparison.html", TITLE, lead, sections)
    return folder / "comparison.html"


def _sections(comparison: Comparison, picture: Picture) -> list[Section]:
    sections = [
        Section("Ranking", "\n\n".join(warnings(comparison)), [group_table(comparison)]),
        Section("Loss curves", pictures=[picture]),
        Section("What differs", tables=[option_table(comparison)]),
        Section("Runs", tables=[run_table(comparison)]),
        Section("How to read it", "\n\n".join(notes(comparison))),
    ]
    if comparison.differences:
        text = "\n\n".join(verdicts(comparison))
        sections.insert(1, Section("Verdict", text, [difference_table(comparison)]))
    return sections
