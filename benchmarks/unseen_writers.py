"""Compare validation on random images and on unseen writers with the test: a table and a figure.

    python benchmarks/unseen_writers.py outputs/sweeps/split-random outputs/sweeps/split-writers
    python benchmarks/unseen_writers.py --by-writer outputs/runs/cnn-a-0 outputs/runs/vat-a-0

The two sweeps are those of docs/unseen-writers.md. Prints the table as Markdown and draws
docs/unseen-writers.png. With --by-writer: how much more the accuracies of folds of whole writers
vary than those of as many independent images would.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from digits.data.datasets import default_folder, prepare, read, read_writers
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


def standard_errors(correct: np.ndarray, writers: np.ndarray) -> tuple[float, float]:
    """Return an accuracy's standard error if images are independent, and if writers are.

    The second one is the sandwich estimator of a mean, clustered by writer.

    Args:
        correct: bool (n,), whether each image was classified correctly.
        writers: the number of each image's writer, (n,).
    """
    accuracy, number = correct.mean(), len(correct)
    _, of = np.unique(writers, return_inverse=True)
    excess = np.bincount(of, correct - accuracy)  # more right answers than expected, by writer
    clustered = (len(excess) / (len(excess) - 1) * (excess**2).sum()) ** 0.5 / number
    return (accuracy * (1 - accuracy) / number) ** 0.5, clustered


def show_by_writer(folders: list[Path]) -> None:
    """Print a row for each run that is a fold of whole writers."""
    folder = default_folder()
    dataset = prepare(folder, split="writers")
    wrote, _ = read_writers(folder, dataset, read(folder, "train", dataset).labels)
    print("| run | writers | accuracy | error by images | by writers | ratio |")
    print("|---" * 6 + "|")
    for run in map(read_run, folders):
        writers = wrote[run.predictions.indices]
        single, clustered = standard_errors(run.predictions.correct, writers)
        cells = (run.dir.name, len(set(writers)), f"{run.predictions.correct.mean():.2%}")
        numbers = f"{100 * single:.3f} | {100 * clustered:.3f} | {clustered / single:.1f}"
        print("|", " | ".join(map(str, cells)), "|", numbers, "|")


def main() -> None:
    """Print the table and draw the figure, or print standard errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--by-writer", action="store_true")
    given = parser.parse_args()
    if given.by_writer:
        show_by_writer(given.folders)
        return
    of = zip(SPLITS, given.folders, strict=True)
    runs = {split: by_experiment(folder) for split, folder in of}
    print(table(runs))
    save_figure(draw(runs), FIGURE)
    print(f"figure: {FIGURE}")


if __name__ == "__main__":
    main()
