"""Readable names for groups of runs: what differs between them, and no more."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence, Set
from typing import Any

DEFAULT_CHOICES = {
    **{"model": "baseline", "optim": "adam", "norm": "half", "schedule": "cosine"},
    **{"augment": "none", "data": "mnist", "trainer": "auto"},
    **{"callbacks": "default", "debug": "none"},
}
"""Config groups in the order of a name's parts, with the options that go without saying."""
SAY_NOTHING = ("experiment", "logger")
"""Config groups that stand for choices in others, or that cannot change a result."""


def group_names(
    choices: Sequence[Mapping[str, str]],
    options: Sequence[Mapping[str, Any]],
    overridden: Sequence[Set[str]],
) -> list[str]:
    """Names each group by what differs between the groups, e.g. "dropout+sgd+exact".

    The first config group that differs is always named (so that there is a "baseline"), further
    ones where they are not the default. Then come values: those that the group's own command line
    named, and those that do not follow from the choices. A single group is named as if it differed
    in everything.

    Args:
        choices: of each group, the option of each config group.
        options: of each group, its configuration by dotted keys.
        overridden: of each group, the dotted keys that its command lines named.
    """
    alone = len(choices) == 1
    known = [*DEFAULT_CHOICES, *sorted({*_union(choices)} - {*DEFAULT_CHOICES, *SAY_NOTHING})]
    differing = [group for group in known if alone or _differs(group, choices)]
    causes = [tuple(each.get(group) for group in differing) for each in choices]
    keys = [key for key in sorted(_union(options)) if alone or _differs(key, options)]
    inexplicable = {
        key
        for key in keys
        if not any(key in each for each in overridden)
        and not _follows([text_of(each.get(key)) for each in options], causes)
    }
    names = []
    for chosen, values, named in zip(choices, options, overridden, strict=True):
        parts = _choice_parts(chosen, differing)
        parts += _value_parts(values, [key for key in keys if key in named | inexplicable])
        names.append("+".join(parts) or chosen.get("model", "default"))
    return _made_unique(names)


def differing_options(options: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the dotted keys whose values are not the same in all groups."""
    return [key for key in sorted(_union(options)) if _differs(key, options)]


def text_of(value: Any) -> str:
    """Returns a value as one would type it on the command line."""
    return "null" if value is None else str(value).replace(" ", "")


def _union(mappings: Sequence[Mapping[str, Any]]) -> dict[str, None]:
    return dict.fromkeys(key for each in mappings for key in each)


def _differs(key: str, mappings: Sequence[Mapping[str, Any]]) -> bool:
    return len({text_of(each.get(key)) for each in mappings}) > 1


def _follows(values: Sequence[str], causes: Sequence[Hashable]) -> bool:
    """Says whether equal causes always come with equal values."""
    return len(set(zip(causes, values, strict=True))) == len(set(causes))


def _choice_parts(chosen: Mapping[str, str], differing: Sequence[str]) -> list[str]:
    return [
        f"{group}=none" if chosen[group] == "none" else chosen[group]
        for place, group in enumerate(differing)
        if group in chosen and (place == 0 or chosen[group] != DEFAULT_CHOICES.get(group))
    ]


def _value_parts(values: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    last = Counter(key.rpartition(".")[2] for key in keys)
    parts = []
    for key in keys:
        short = key.rpartition(".")[2]
        if key in values:
            parts.append(f"{short if last[short] == 1 else key}={text_of(values[key])}")
    return parts


def _made_unique(names: list[str]) -> list[str]:
    numbers = Counter(names)
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if numbers[name] == 1 else f"{name}#{seen[name]}")
    return unique
