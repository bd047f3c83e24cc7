"""The first mistake in a command line that Hydra could not compose.

Hydra's own messages span several lines and advise to add the mistyped key. So each override is
looked at again here, against the groups, options and keys that there are. Only a wrong command
line pays for that.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf

from digits.config.nearest import leaves, likeness, suggestion
from digits.config.overrides import values

CONFIG_NAME = "config"
"""The primary file, without `.yaml`."""


def find_mistake(
    overrides: Sequence[str],
    config_dir: Path,
    config_name: str = CONFIG_NAME,
    multirun: bool = False,
) -> str | None:
    """Returns what is wrong with the overrides and a remedy; `None` if all names are right.

    Args:
        overrides: as on the command line, e.g. `optim.lr=0.1`.
        config_dir: the folder with the primary file and the groups.
        config_name: the primary file, without `.yaml`.
        multirun: whether an override may name several values, e.g. `seed=1,2`.
    """
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir.absolute()), version_base="1.3"):
        return next(_Mistakes(config_name, multirun).of(overrides), None)


class _Mistakes:
    """The groups, options and keys that there are, and what is wrong with overrides of them."""

    def __init__(self, config_name: str, multirun: bool) -> None:
        self.config_name, self.multirun = config_name, multirun
        self.loader = GlobalHydra.instance().config_loader()
        self.parser = OverridesParser.create(config_loader=self.loader)
        self.composed: dict[tuple[str, ...], DictConfig] = {}
        groups = [group for group in self.loader.list_groups("") if group != "hydra"]
        self.options = {group: self.loader.get_group_options(group) for group in groups}

    def of(self, overrides: Sequence[str]) -> Iterator[str]:
        """Yields the mistakes: first of writing, then of groups and options, then of keys."""
        parsed: list[Override] = []
        for line in overrides:
            try:
                parsed += self.parser.parse_overrides([line])
            except OverrideParseException as error:
                yield self._unreadable(line, error)
        for override in parsed:
            group = override.key_or_group
            if "/" in group:  # hydra/launcher, or a folder in a folder
                self.options[group] = self.loader.get_group_options(group)
            if override.is_sweep_override() and not self.multirun:
                yield self._several(override)
        chosen = [each for each in parsed if each.key_or_group in self.options]
        for override in chosen:
            yield from self._option(override)
        for config in self._configs(chosen):
            for override in parsed:
                if override not in chosen:
                    yield from self._key(override, config)

    def _configs(self, chosen: Sequence[Override]) -> Iterator[DictConfig]:
        """Yields what the choices compose: each value of a sweep's, and what Hydra begins with."""
        lines = [values(each) for each in chosen if not each.is_delete() and values(each)]
        for index in range(max(map(len, lines), default=1)):
            yield self._compose([each[min(index, len(each) - 1)] for each in lines])
        # Hydra first applies single values to the choices of which there is only one.
        yield self._compose([each[0] for each in lines if len(each) == 1])

    def _compose(self, choices: Sequence[str]) -> DictConfig:
        key = tuple(choices)
        if key not in self.composed:
            self.composed[key] = self._compose_anew(choices)
        return self.composed[key]

    def _compose_anew(self, choices: Sequence[str]) -> DictConfig:
        with suppress(HydraException, ValueError):
            return compose(self.config_name, list(choices), return_hydra_config=True)
        return compose(self.config_name, return_hydra_config=True)

    def _unreadable(self, line: str, error: OverrideParseException) -> str:
        if "=" not in line:
            groups = [group for group, options in self.options.items() if line in options]
            if groups:
                return f"{line} is no override; try {groups[0]}={line}"
            names = self._names(self._compose([]))
            advice = suggestion(line, names, "{}=VALUE", ["key=value"])
            return f"{line} has no value, expected key=value; {advice}"
        lines = [each for each in str(error).splitlines() if not each.startswith("Error parsing")]
        reason = lines[0].partition(" expecting ")[0]
        advice = "try closing each bracket and quote, and quoting text with signs: 'key=\"a=b\"'"
        return f"{line} cannot be read ({reason}); {advice}"

    def _several(self, override: Override) -> str:
        line = str(override.input_line)
        key, _, value = line.partition("=")
        advice = f"try -m {line} for a run each"
        if override.value_type is ValueType.SIMPLE_CHOICE_SWEEP and "." in key:
            advice += f", or {key}=[{value}] for a list"
        return f"{line} names several values; {advice}"

    def _option(self, override: Override) -> Iterator[str]:
        group = override.key_or_group
        if override.is_delete():
            return
        for line in values(override):
            value = line.partition("=")[2]
            for name in value.strip("[]").split(","):
                if name not in self.options[group]:
                    advice = suggestion(name, self.options[group], f"{group}={{}}")
                    yield f"there is no {group}={name}; {advice}"
            prefixed = override.is_add() or override.is_force_add()
            if override.package or (prefixed and group in self._compose([]).hydra.runtime.choices):
                yield f"{line}: a choice is written without + or @ here; try {group}={value}"

    def _key(self, override: Override, config: DictConfig) -> Iterator[str]:
        key, line = override.key_or_group, str(override.input_line)
        value = line.partition("=")[2]
        there = _has(config, key)
        if override.is_add() and there:
            yield f"{key} is there already, so that + cannot add it; try {key}={value}"
        if there or override.is_add() or override.is_force_add():
            return
        form = f"{{}}={value}" if "=" in line else "~{}"
        parent, _, name = key.rpartition(".")
        group = parent.partition(".")[0]
        names = [
            each for each in self._names(config) if (group == "hydra") == each.startswith("hydra")
        ]
        siblings = [each for each in names if each.startswith(f"{parent}.")]
        if others := self._others(group, key, siblings):
            form = f"{group}={others[0]} {form.format(key)}"
            here = self._of(group, config)
            yield f"{key} is no key of {here}, but of {group}={others[0]}; try {form}"
            return
        advice = suggestion(key, names, form, siblings or self._top(config))
        target = OmegaConf.select(config, f"{parent}._target_") if parent else None
        if target and not override.is_delete():
            advice += f", or +{key}={value} if {target} takes {name}"
        yield f"{key} is no key of {self._of(group, config)}; {advice}"

    def _others(self, group: str, key: str, siblings: Sequence[str]) -> list[str]:
        """Returns the options of the group that have the key, unless it is a slip of the pen.

        That which is most like the option chosen, by its other keys, comes first.
        """
        if group == "hydra" or any(likeness(key, each) > 0.8 for each in siblings):
            return []
        options = {each: self._compose([f"{group}={each}"]) for each in self.options.get(group, [])}
        found = [each for each, config in options.items() if _has(config, key)]
        return sorted(found, key=lambda each: -len({*siblings} & {*self._names(options[each])}))

    def _of(self, group: str, config: DictConfig) -> str:
        choice = config.hydra.runtime.choices.get(group)
        return f"{group}={choice}" if choice else "the configuration"

    def _top(self, config: DictConfig) -> list[str]:
        return [str(key) for key in config if key != "hydra"] + ["experiment"]

    def _names(self, config: DictConfig) -> list[str]:
        plain: Any = OmegaConf.to_container(config)
        return [*leaves(plain), *self.options]


def _has(config: DictConfig, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    if isinstance(node, ListConfig):
        return name.isdigit() and int(name) < len(node)
    return isinstance(node, DictConfig) and name in list(node)  # `in` alone: and has a value
