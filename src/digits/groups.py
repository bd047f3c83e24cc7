"""Groups of runs that differ in seed or fold only, and what they are called."""

import json
import math
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from digits.files import flat
from digits.run_directory import Run
from digits.statistics import mean_std
from digits.text import accuracy, plural, typed

DEFAULT_CHOICES = {
    **{"model": "baseline", "optim": "adam", "norm": "half", "schedule": "cosine"},
    **{"augment": "none", "data": "mnist", "trainer": "auto"},
    **{"callbacks": "default", "debug": "none"},
}
"""Config groups in the order of a name's parts, with the options that go without saying."""


@dataclass(frozen=True, eq=False)
class Group:
    """Finished runs that differ in seed and fold only.

    Attributes:
        name: what its command lines say of what differs from the other groups.
        runs: by ascending seed and fold, one of each.
        repeated: further runs of the same seed and fold, which are no further evidence.
    """

    name: str
    runs: Sequence[Run]
    repeated: Sequence[Run] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        """Each once."""
        return tuple(dict.fromkeys(run.seed for run in self.runs))

    @property
    def num_folds(self) -> int:
        """The number of folds of a cross-validation that its runs are; 0 if they are not."""
        return len({run.fold for run in self.runs} - {None})

    @property
    def part(self) -> str:
        """What its runs are compared on: "test", or "val" if they are not tested."""
        return "val" if self.runs[0].test_accuracy is None else "test"

    @property
    def size(self) -> str:
        """Over what its means are, e.g. "3 seeds", "5 folds" or "2 seeds, 3 of 5 folds"."""
        seeds = plural(len(self.seeds), "seed")
        if not self.num_folds:
            return seeds
        expected = self.runs[0].options.get("data.folds")
        of = f"{self.num_folds} of " if self.num_folds != expected else ""
        return (f"{seeds}, " if len(self.seeds) > 1 else "") + f"{of}{expected} folds"

    def values(self, metric: str) -> list[float]:
        """Return a metric of each run that has it, e.g. of "val/accuracy"."""
        found = (run.metrics.get(metric) for run in self.runs)
        return [value for value in found if value is not None]

    def by_fold(self, metric: str) -> list[float]:
        """Return each run's `values`; of several seeds over folds, each fold's mean."""
        if not self.num_folds:
            return self.values(metric)
        found: dict[int | None, list[float]] = {}
        for run in self.runs:
            if (value := run.metrics.get(metric)) is not None:
                found.setdefault(run.fold, []).append(value)
        return [mean_std(values)[0] for values in found.values()]

    def mean_std(self, metric: str) -> tuple[float, float | None]:
        """Return the mean over runs or folds and, of two or more, their standard deviation."""
        return mean_std(self.by_fold(metric))

    @property
    def cells(self) -> tuple[str, str, str]:
        """Validation and test accuracy with their spread over the runs, and the mean time."""
        val, test = (accuracy(*self.mean_std(f"{part}/accuracy")) for part in ("val", "test"))
        return val, test, f"{self.mean_std('train_time_s')[0]:.1f} s"


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """Put finished runs together that differ in seed or fold only, in the order of the first ones.

    Runs that were validated on other images are of another group.
    """
    alike: dict[tuple[str, Hashable], list[Run]] = {}
    for run in runs:
        key = json.dumps(run.options, sort_keys=True, default=str), run.val_images
        alike.setdefault(key, []).append(run)
    groups = []
    for name, found in zip(_names([*alike.values()]), alike.values(), strict=True):
        once: dict[tuple[int, int], Run] = {}
        repeated = [
            run for run in found if once.setdefault((run.seed, run.fold or 0), run) is not run
        ]
        groups.append(Group(name, [once[key] for key in sorted(once)], repeated))
    return groups


def by_validation(groups: Iterable[Group]) -> list[Group]:
    """Return groups by descending mean validation accuracy; those without one come last."""

    def place(group: Group) -> float:
        has_any = bool(group.values("val/accuracy"))
        return -group.mean_std("val/accuracy")[0] if has_any else math.inf

    return sorted(groups, key=place)  # selecting on the test set leaks it


def differing_options(options: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the dotted keys whose values are not the same in all groups."""
    keys = sorted({key for each in options for key in each})
    return [key for key in keys if len({typed(each.get(key)) for each in options}) > 1]


def _names(groups: Sequence[Sequence[Run]]) -> list[str]:
    """Name each group by what its command lines say of what differs, e.g. "dropout+lr=0.01".

    Where that is nothing, it is called by its model. A default goes without saying, unless it is
    the first part. Names that are still the same get all that differs, and at last a number.
    """
    choices, options = (
        [getattr(group[0], of) for group in groups] for of in ("choices", "options")
    )
    typed_keys = [{key for run in group for key in run.overridden} for group in groups]
    alone: list[Any] = [{}] if len(groups) == 1 else []  # it is as if all of it differed
    chosen, keys = (differing_options([*alone, *each]) for each in (choices, options))
    in_order = [key for key in DEFAULT_CHOICES if key in chosen]
    in_order += [key for key in chosen if key not in (*DEFAULT_CHOICES, "logger", "local")]
    configs = [dict(flat(group[0].config)) for group in groups]
    ends = Counter(key.rpartition(".")[2] for key in keys)

    def name(place: int, named: Collection[str]) -> str:
        parts: list[str] = []
        for key in (each for each in in_order if each in named and each in choices[place]):
            choice = choices[place][key]
            if not parts or choice != DEFAULT_CHOICES.get(key):
                parts.append(f"{key}=none" if choice == "none" else choice)
        for key in (each for each in keys if each in named):
            is_null = key in typed_keys[place] and configs[place].get(key, "") is None
            if key in options[place] or is_null:  # options leave out what is null
                end, value = key.rpartition(".")[2], typed(options[place].get(key))
                parts.append(f"{end if ends[end] == 1 else key}={value}")
        return "+".join(parts) or choices[place].get("model", "default")

    names = [name(place, named) for place, named in enumerate(typed_keys)]
    names = [
        name(place, [*in_order, *keys]) if names.count(each) > 1 else each
        for place, each in enumerate(names)
    ]
    return [
        f"{each}#{names[: place + 1].count(each)}" if names.count(each) > 1 else each
        for place, each in enumerate(names)
    ]
