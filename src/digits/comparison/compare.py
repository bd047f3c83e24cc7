"""The recipe of a comparison: read, group, leave out, choose the baseline, rank, test."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from digits.comparison.difference import Difference, difference
from digits.comparison.groups import Group, LeftOut, group_runs
from digits.comparison.run import Run, read_run
from digits.errors import DigitsError
from digits.files import relative
from digits.runs import find_runs, is_run_dir
from digits.statistics import holm


@dataclass(frozen=True, eq=False)
class Comparison:
    """Groups of runs, held against one of them.

    Attributes:
        ranked: groups by falling mean validation accuracy, all on the same validation images.
        unranked: groups that were validated on other images than the baseline, or not at all.
        baseline: one of them.
        is_named: whether the user chose the baseline.
        differences: of each other group, by its name.
        corrected: Holm's p of each other group, by its name.
        left_out: runs that are not compared.
    """

    ranked: Sequence[Group]
    unranked: Sequence[Group]
    baseline: Group
    is_named: bool
    differences: dict[str, Difference]
    corrected: dict[str, float]
    left_out: Sequence[LeftOut]

    @property
    def groups(self) -> list[Group]:
        """All groups, in the order in which they are shown."""
        return [*self.ranked, *self.unranked]

    @property
    def dataset(self) -> str:
        """What the images are from."""
        dataset: str = self.baseline.runs[0].metrics["dataset"]
        return dataset


def compare(folders: Sequence[Path], baseline: str | None = None) -> Comparison:
    """Compares all runs that are among the folders or below them.

    Args:
        folders: run directories, sweep directories, or folders of such.
        baseline: a group's name or a run directory; unless given, the first run's group, of those
            that were tested on the images on which most groups were.

    Raises:
        DigitsError: there is nothing that can be compared.
    """
    named = [Path(baseline)] if baseline and is_run_dir(Path(baseline)) else []
    runs, left_out = read_runs(find_runs([*folders, *named]))
    by_images: dict[object, list[Run]] = {}
    for run in runs:
        by_images.setdefault(run.test_images, []).append(run)
    grouped = [group_runs(members) for members in by_images.values()]
    # The most groups that can be compared come first; the order of the folders decides a tie.
    grouped.sort(key=lambda found: len(found[0]), reverse=True)
    chosen = _choose([group for groups, _ in grouped for group in groups], baseline)
    comparable, repeated = next(found for found in grouped if chosen in found[0])
    left_out += repeated
    others = [group for groups, _ in grouped if groups is not comparable for group in groups]
    left_out += [_on_other_images(run, chosen) for group in others for run in group.runs]
    if len(comparable) == 1 and others:
        raise DigitsError(
            f"nothing can be compared with {relative(chosen.runs[0].path)}: {left_out[-1].what} "
            f"has {left_out[-1].reason}; try another --baseline, or each by itself"
        )
    validated = [group for group in comparable if group.val_accuracies]
    judges = [group.runs[0].val_images for group in (chosen, *validated) if group in validated]
    ranked = [group for group in validated if group.runs[0].val_images == judges[0]]
    ranked.sort(key=lambda group: statistics.fmean(group.val_accuracies), reverse=True)
    differences = [difference(group, chosen) for group in comparable if group is not chosen]
    names = [each.group for each in differences]
    return Comparison(
        ranked=ranked,
        unranked=[group for group in comparable if group not in ranked],
        baseline=chosen,
        is_named=baseline is not None,
        differences=dict(zip(names, differences, strict=True)),
        corrected=dict(zip(names, holm([each.p for each in differences]), strict=True)),
        left_out=left_out,
    )


def read_runs(run_dirs: Sequence[Path]) -> tuple[list[Run], list[LeftOut]]:
    """Reads what is finished and whole; says what is not.

    Raises:
        DigitsError: nothing is.
    """
    runs, left_out = [], []
    for path in run_dirs:
        try:
            runs.append(read_run(path))
        except DigitsError as reason:
            left_out.append(LeftOut(str(relative(path)), str(reason)))
    if not runs:
        first = left_out[0]
        more = f" (and {len(left_out) - 1} more)" if len(left_out) > 1 else ""
        raise DigitsError(
            f"no run can be compared: {first.what}: {first.reason}{more}; try other directories"
        )
    return runs, left_out


def _choose(groups: Sequence[Group], baseline: str | None) -> Group:
    if baseline is None:
        return groups[0]
    for group in groups:
        if group.name == baseline:
            return group
    path = Path(baseline).resolve()
    within = [
        group
        for group in groups
        if any(run.path.resolve().is_relative_to(path) for run in group.runs)
    ]
    if len(within) == 1:
        return within[0]
    names = ", ".join(dict.fromkeys(group.name for group in within or groups))
    kind = f"holds {len(within)} groups" if within else "is no group and no finished run"
    raise DigitsError(f"--baseline {baseline} {kind}; try one of: {names}")


def _on_other_images(run: Run, baseline: Group) -> LeftOut:
    first = baseline.runs[0]
    reason = (
        f"other test images ({len(run.labels):,} of {run.metrics['dataset']}) than "
        f"{baseline.name} ({len(first.labels):,} of {first.metrics['dataset']})"
    )
    return LeftOut(str(relative(run.path)), reason)
