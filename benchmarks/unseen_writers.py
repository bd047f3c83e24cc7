"""Compare validation on random images and on unseen writers with the test: a table and a figure.

    python benchmarks/unseen_writers.py outputs/sweeps/split-random outputs/sweeps/split-writers

The two sweeps are those of docs/unseen-writers.md. Prints the table as Markdown and draws
docs/unseen-writers.png.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from digits.figures import COLOURS, save_figure
from digits.run_directory import Run, find_runs, read_run
from digits.statistics import wilson_interval

FIGURE = Path("docs", "unseen-writers.png")
SPLITS = ("random", "writers")


def by_experiment(sweep: Path) -> dict[str, Run]:
    """Return the finished runs of a sweep by the names of their experiments."""
    runs = [run for run in map(read_run, find_runs([sweep])) if run.is_finished]
    return {run.choices["experiment"]: run for run in runs}


def interval(run: Run) -> tuple[float, float]:
    """Return the 95 % interval of the accuracy on the run's own validation images."""
    number = int(run.metrics["num_val"])
    return wilson_interval(round(run.metrics["val/accuracy"] * number), number)


def table(runs: Mapping[str, Mapping[str, Run]]) -> str:
    """Return a row for each experiment that was trained with both splits."""
    lines = ["| experiment | " + " | ".join(f"{s}: validation | test | inside" for s in SPLITS)]
    lines = [f"{lines[0]} |", "|---" * 7 + "|"]
    for name in [name for name in runs["random"] if name in runs["writers"]]:
        cells = [f"`{name}`"]
        for split in SPLITS:
            run = runs[split][name]
            (low, high), test = interval(run), run.metrics["test/accuracy"]
            cells.append(f"{run.metrics['val/accuracy']:.2%} ({low:.2%} to {high:.2%})")
            cells += [f"{test:.2%}", "yes" if low <= test <= high else "**no**"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines).replace("%", " %")


def draw(runs: Mapping[str, Mapping[str, Run]]) -> Figure:
    """Draw validation with its interval, and the test beside it, for both splits."""
    names = [name for name in runs["random"] if name in runs["writers"]]
    figure = Figure((7.5, 1 + 0.45 * len(names)), layout="constrained")
    axes = figure.subplots()
    titles = ("validation, random images", "validation, unseen writers")
    for place, split in enumerate(SPLITS):
        rows = np.arange(len(names)) + 0.3 * place - 0.15
        chosen = [runs[split][name] for name in names]
        found, tests = (
            100 * np.array([run.metrics[f"{part}/accuracy"] for run in chosen])
            for part in ("val", "test")
        )
        low, high = 100 * np.array([interval(run) for run in chosen]).T
        errors, colour = (found - low, high - found), COLOURS[place]
        bars = axes.errorbar(found, rows, xerr=errors, fmt="o", color=colour, capsize=3)
        bars.set_label(titles[place])
        label = "test, of the same run" if place else None
        axes.plot(tests, rows, "x", color="black", markersize=6, label=label)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("accuracy (%), with the 95 % interval of the validation")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def main() -> None:
    """Print the table and draw the figure."""
    folders = [Path(folder) for folder in sys.argv[1:]]
    runs = {split: by_experiment(folder) for split, folder in zip(SPLITS, folders, strict=True)}
    print(table(runs))
    save_figure(draw(runs), FIGURE)
    print(f"figure: {FIGURE}")


if __name__ == "__main__":
    main()
