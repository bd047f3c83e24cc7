"""The picture of the loss curves."""

from pathlib import Path

from digits.atomic import whole_file
from digits.run_files import read_history

COLOURS = {"train": "#1f77b4", "val": "#d95f02"}
LABELS = {"train": "training", "val": "validation"}


def draw_loss_curves(run_dir: Path) -> None:
    """Draws training and validation loss by epoch into loss_curves.png."""
    from matplotlib.figure import Figure  # takes half a second
    from matplotlib.ticker import MaxNLocator

    rows = read_history(run_dir)
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for part, label in LABELS.items():
        points = [(row["epoch"], row[f"{part}/loss"]) for row in rows if f"{part}/loss" in row]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                marker="o",
                markersize=3,
                color=COLOURS[part],
                label=label,
            )
    axes.set(xlabel="epoch", ylabel="cross-entropy loss (nats)", title=f"Loss: {run_dir.name}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    for row in rows[-1:]:
        steps = axes.twiny()
        steps.set(xlim=[epoch * row["step"] / row["epoch"] for epoch in axes.get_xlim()])
        steps.set_xlabel("optimizer steps", fontsize="small")
    with whole_file(run_dir / "loss_curves.png") as temporary:
        figure.savefig(temporary, dpi=120)
