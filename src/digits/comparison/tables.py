"""A comparison as tables."""

import csv
import io
import statistics
from collections.abc import Sequence
from typing import Any

from digits.comparison.compare import Comparison
from digits.comparison.difference import Difference, judgement, p_text
from digits.comparison.groups import Group
from digits.comparison.names import DEFAULT_CHOICES, differing_options, text_of
from digits.files import relative
from digits.page import Table
from digits.text import points

NOTHING = "\u2013"


def group_table(comparison: Comparison) -> Table:
    """The ranking: each group's accuracies, and how it differs from the baseline."""
    heading = "p (Holm)" if len(comparison.differences) > 1 else "p"
    against = ("vs baseline", heading) if comparison.differences else ()
    rows = []
    for rank, group in _with_ranks(comparison):
        low, high = group.test_interval
        rows.append(
            (
                *(rank, group.name, str(len(group.runs))),
                *(mean_std(group.val_accuracies), mean_std(group.test_accuracies)),
                f"{100 * low:.2f} to {100 * high:.2f}%",
                *(_against(comparison, group.name) if against else ()),
                f"{group.train_time_s:.1f} s",
            )
        )
    columns = ("rank", "group", "seeds", "validation", "test", "95% interval", *against, "time")
    number, dataset = len(comparison.baseline.runs[0].labels), comparison.dataset
    return Table(columns, rows, f"Accuracy on {number:,} test images of {dataset}")


def difference_table(comparison: Comparison) -> Table:
    """Each group against the baseline: what the verdict rests on."""
    several = len(comparison.differences) > 1
    rows = [
        (
            *(name, _with_error(found)),
            f"{points(found.interval[0])} to {points(found.interval[1])}",
            *((p_text(found.p),) if several else ()),
            *(p_text(comparison.corrected[name]), found.test),
        )
        for name, found in _differences(comparison)
    ]
    ps = ("p", "p (Holm)") if several else ("p",)
    return Table(("group", "points", "95% interval", *ps, "test"), rows)


def option_table(comparison: Comparison) -> Table:
    """What differs between the groups: choices and values."""
    groups = comparison.groups
    options = [group.runs[0].options for group in groups]
    chosen = [group.runs[0].choices for group in groups]
    choices = [
        name for name in DEFAULT_CHOICES if len({each.get(name) for each in chosen}) > 1
    ] or [name for name in DEFAULT_CHOICES if len(groups) == 1 and name in chosen[0]]
    keys = [key for key in differing_options(options) if not key.endswith("_")]
    rows = [
        (
            group.name,
            *(choice.get(name, NOTHING) for name in choices),
            *(text_of(values[key]) if key in values else NOTHING for key in keys),
        )
        for group, choice, values in zip(groups, chosen, options, strict=True)
    ]
    return Table(("group", *choices, *keys), rows)


def run_table(comparison: Comparison) -> Table:
    """Every run by itself."""
    rows = [
        (
            *(group.name, str(run.seed)),
            f"{run.val_accuracy:.2%}" if run.val_accuracy is not None else NOTHING,
            f"{run.correct.mean():.2%}",
            *(str(run.metrics["epochs"]), f"{run.metrics['num_parameters']:,}"),
            *(f"{run.metrics['train_time_s']:.1f} s", str(relative(run.path))),
        )
        for group in comparison.groups
        for run in group.runs
    ]
    columns = ("group", "seed", "validation", "test", "epochs", "parameters", "time", "run")
    return Table(columns, rows)


def as_csv(comparison: Comparison) -> str:
    """Returns one row a group; accuracies as fractions, differences in percentage points."""
    rows = []
    for rank, group in _with_ranks(comparison):
        low, high = group.test_interval
        row: dict[str, Any] = {
            "rank": "" if rank == NOTHING else rank,
            "group": group.name,
            "seeds": " ".join(map(str, group.seeds)),
            **_mean_std_columns("val", group.val_accuracies),
            **_mean_std_columns("test", group.test_accuracies),
            "test_low": f"{low:.6f}",
            "test_high": f"{high:.6f}",
            "interval": "Wilson" if len(group.runs) == 1 else "Student",
            "train_time_s": round(group.train_time_s, 3),
            "baseline": comparison.baseline.name,
        }
        found = comparison.differences.get(group.name)
        if found:
            corrected = comparison.corrected[group.name]
            row |= {
                "difference_points": f"{100 * found.difference:.4f}",
                "error_points": f"{100 * found.error:.4f}",
                "low_points": f"{100 * found.interval[0]:.4f}",
                "high_points": f"{100 * found.interval[1]:.4f}",
                "p": f"{found.p:.3g}",
                "p_holm": f"{corrected:.3g}",
                "test": found.test,
                "verdict": judgement(found, corrected),
            }
        rows.append(row | {"runs": " ".join(str(relative(run.path)) for run in group.runs)})
    table = io.StringIO()
    columns = dict.fromkeys(key for row in sorted(rows, key=len, reverse=True) for key in row)
    writer = csv.DictWriter(table, list(columns), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue()


def mean_std(values: Sequence[float]) -> str:
    """Returns accuracies as "97.54 ± 0.12%", one as "97.54%", and none as a dash."""
    if not values:
        return NOTHING
    mean = f"{100 * statistics.fmean(values):.2f}"
    return f"{mean} ± {100 * statistics.stdev(values):.2f}%" if len(values) > 1 else f"{mean}%"


def _against(comparison: Comparison, name: str) -> tuple[str, str]:
    found = comparison.differences.get(name)
    if found is None:
        return NOTHING, NOTHING
    return _with_error(found), p_text(comparison.corrected[name])


def _with_error(found: Difference) -> str:
    return f"{points(found.difference)} ± {100 * found.error:.2f}"


def _with_ranks(comparison: Comparison) -> list[tuple[str, Group]]:
    ranked = [(str(rank), group) for rank, group in enumerate(comparison.ranked, start=1)]
    return ranked + [(NOTHING, group) for group in comparison.unranked]


def _differences(comparison: Comparison) -> list[tuple[str, Difference]]:
    found = comparison.differences
    return [(group.name, found[group.name]) for group in comparison.groups if group.name in found]


def _mean_std_columns(part: str, values: Sequence[float]) -> dict[str, str]:
    mean = f"{statistics.fmean(values):.6f}" if values else ""
    std = f"{statistics.stdev(values):.6f}" if len(values) > 1 else ""
    return {f"{part}_mean": mean, f"{part}_std": std}
