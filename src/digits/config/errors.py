"""Errors of a command line in one line: what is wrong, and what to type instead.

Hydra's own messages span several lines and advise to add the mistyped key. So each override is
looked at again here, against the groups, options and keys that there are. Only a wrong command
line pays for that.
"""

import errno
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from digits.config.overrides import WrongJob, plain, values
from digits.config.schema import accepts, check, read_search_options
from digits.config.targets import ELSEWHERE, own_place, places, up_to_date
from digits.errors import DigitsError
from digits.files import flat, get, has
from digits.text import first_line, nearest, similar, typed

OUTSIDE = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.ENAMETOOLONG,
    errno.EISDIR,
)
"""Faults of a disk or its permissions, which are not ours."""

LIGHTNING = ("pytorch_lightning.", "lightning_fabric.")

EXTRAS = {"joblib": "sweep", "submitit_slurm": "slurm", "submitit_local": "slurm", "ray": "ray"}
"""Launchers of other packages, and the extra of this project that installs each."""


def explain(error: BaseException) -> str | None:
    """Return one line for the user; `None` if the error is a fault of the program."""
    cause = error.__cause__
    if isinstance(error, WrongJob):
        return explain(cause) if cause else None
    missing = re.search(r"Could not (?:load|find) 'hydra/launcher/(\w+)'", str(error))
    if missing and missing[1] in EXTRAS:
        needed = f"hydra/launcher {missing[1]} needs packages that are not installed"
        return f'{needed}; try pip install -e ".[{EXTRAS[missing[1]]}]"'
    if isinstance(error, InstantiationException) and cause is not None:
        called = str(error).partition("\n")[0].removesuffix(":")
        if _is_refusal(cause):
            return f"{called}: {first_line(cause)}"
        place = own_place(cause)
        told = f"{called}: {type(cause).__name__}: {first_line(cause)} ({place})"
        return told if place else explain(cause)
    if isinstance(error, ConfigAttributeError | ConfigKeyError):
        return None  # code reads a missing key; Hydra itself would have wrapped the error
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        near = similar(name, error.options, limit=1)
        known = f"try {group}={near[0]}" if near else f"valid: {', '.join(error.options)}"
        return f"{group}={name}, named in a defaults list, does not exist; {known}"
    if early := re.search(r"In '(.+)': .* override '/?(debug)\b", str(error)):
        line = f"- override /{early[2]}: ..."
        return (
            f"{early[1]}.yaml: {early[2]} goes before an experiment; take '{line}' out of the file"
        )
    if twice := re.search(r"Multiple values for (\w+)\. .*'override \w+: (\w+)'", str(error)):
        line = f"- override /{twice[1]}: {twice[2]}"
        return f"{twice[1]} is chosen twice; in a YAML file's defaults, write '{line}'"
    if isinstance(error, HydraException | OmegaConfBaseException):
        key = getattr(error, "full_key", None)
        lines = [f"{key}: {first_line(error)}" if key else first_line(error)]
        lines += [first_line(cause)] if cause is not None else []
        return "; ".join(line.rstrip(".") for line in lines if line)
    if isinstance(error, OSError) and error.errno in OUTSIDE:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "; free some space and run the same command again" if is_full else ""
        return f"{error.filename or 'a file'} cannot be written or read ({error.strerror}){remedy}"
    # By name, so that a wrong option need not wait for the import of Lightning.
    names = {cls.__name__ for cls in type(error).__mro__}
    is_mistake = isinstance(error, DigitsError) or "MisconfigurationException" in names
    if isinstance(error, ImportError):  # a callback of Lightning's lacks a package
        is_mistake = _raised_by(error, *LIGHTNING)
    return first_line(error) if is_mistake or _raised_by(error, "hydra.") else None


def _is_refusal(cause: BaseException) -> bool:
    """Say whether a class refuses its arguments."""
    refused = isinstance(cause, ValueError | TypeError | ImportError) and _raised_by(
        cause, "hydra.", *LIGHTNING
    )
    # torch: a layer of the user's own network that cannot be made with the values given.
    return refused or type(cause) is ValueError or _raised_by(cause, "torch.")


def _raised_by(error: BaseException, *packages: str) -> bool:
    *_, (module, _) = [("", ""), *places(error)]
    return module.startswith(packages)


def unreadable_file(error: BaseException) -> str | None:
    """Return which file of a configuration is not YAML, and where; `None` if all are."""
    for cause in _causes(error):
        if isinstance(cause, yaml.MarkedYAMLError) and (mark := cause.problem_mark):
            return f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}: {cause.problem}"
        if isinstance(cause, UnicodeDecodeError):
            return f"a file of the configuration is not UTF-8 text ({cause}); save it as such"
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it, each once: causes may lead back to where they began."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        yield cause
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__


def find_mistake(
    overrides: Sequence[str], config_dir: Path, config_name: str, *, multirun: bool
) -> str | None:
    """Return what is wrong with the overrides, and a remedy; `None` if all names are right."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir.absolute()), version_base="1.3"):
        return next(_Mistakes(config_name).of(overrides, multirun), None)


class _Mistakes:
    """What is wrong with overrides, told by the groups, options and keys that there are."""

    def __init__(self, config_name: str) -> None:
        self.config_name = config_name
        loader = GlobalHydra.instance().config_loader()
        self.parser = OverridesParser.create(config_loader=loader)
        groups = [group for group in loader.list_groups("") if group != "hydra"]
        groups += ["hydra/launcher", "hydra/sweeper"]
        self.options = {group: loader.get_group_options(group) for group in groups}
        self.chosen: list[str] = []

    def of(self, overrides: Sequence[str], multirun: bool) -> Iterator[str]:
        """Yield the mistakes: first of writing, then of groups and options, then of keys."""
        parsed: list[Override] = []
        for line in overrides:
            try:
                parsed += self.parser.parse_overrides([line])
            except OverrideParseException as error:
                yield self._unreadable(line, error)
        for override in parsed:
            if override.is_sweep_override() and not multirun:
                yield self._several(override)
        choices = [each for each in parsed if each.key_or_group in self.options]
        for override in choices:
            yield from self._option(override)
        # Hydra first composes a sweep with the choices of which there is only one.
        single = [values(each) for each in choices if not each.is_delete()]
        self.chosen = [each[0] for each in single if len(each) == 1]
        for override in parsed:
            if override not in choices:
                yield from self._key(override)

    def _compose(self, *overrides: str) -> DictConfig:
        lines = [*self.chosen, *overrides]
        return compose(self.config_name, lines, return_hydra_config=True)

    def _works(self, *overrides: str) -> bool:
        """Say whether overrides compose, beside the choices made, and pass the check."""
        try:
            parsed = self.parser.parse_overrides(list(overrides))
            composed = self._compose(*(values(each)[0] for each in parsed))
            if all(each.key_or_group.startswith("hydra.sweeper.") for each in parsed):
                if "objectives" in composed.hydra.sweeper:
                    read_search_options(plain(composed.hydra.sweeper))
            elif not all(each.key_or_group.startswith("hydra.") for each in parsed):
                check(up_to_date(plain(composed)))
        except (HydraException, OmegaConfBaseException, DigitsError, ValueError):
            return False
        return True

    def _unreadable(self, line: str, error: OverrideParseException) -> str:
        if "=" in line:
            lines = [each for each in str(error).splitlines() if "Error parsing" not in each]
            reason = lines[0].partition(" expecting ")[0]
            advice = "close brackets and quotes, and quote special characters"
            return f"{line} cannot be read ({reason}); {advice}"
        composed = self._compose()
        if line in self.options:
            chosen = composed.hydra.runtime.choices.get(line) or self.options[line][0]
            return f"{line} has no value, expected KEY=VALUE; try {line}={chosen}"
        present = dict(flat(plain(composed)))
        remedies = [f"{group}={line}" for group, options in self.options.items() if line in options]
        remedies += [f"{key}={typed(present[key])}" for key in nearest(line, present)]
        advice = f"; try {remedies[0]}" if remedies else ""
        return f"{line} has no value, expected KEY=VALUE{advice}"

    def _several(self, override: Override) -> str:
        line = str(override.input_line)
        key, _, value = line.partition("=")
        if "interval(" in value:
            return f"{line} is for a search; try -m hydra/sweeper=optuna '{line}'"
        remedies = [(f"-m {line} for a run each", line)]
        remedies += [(f"{key}=[{value}] for a list", f"{key}=[{value}]")]
        works = [advice for advice, remedy in remedies if self._works(remedy)]
        return f"{line} names several values" + (f"; try {', or '.join(works)}" if works else "")

    def _option(self, override: Override) -> Iterator[str]:
        group = override.key_or_group
        options = self.options[group]
        for line in [] if override.is_delete() else values(override):
            value = line.partition("=")[2]
            for name in value.strip("[]").split(","):
                if name not in options:
                    near = similar(name, options, limit=1)
                    advice = f"try {group}={near[0]}" if near else f"valid: {', '.join(options)}"
                    yield f"{group}={name} does not exist; {advice}"
            if override.package or override.is_add() or override.is_force_add():
                yield f"{line}: a choice is written without + or @; try {group}={value}"

    def _key(self, override: Override) -> Iterator[str]:
        key, line = override.key_or_group, str(override.input_line)
        group, value = key.partition(".")[0], line.partition("=")[2]
        config = self._compose()
        composed: Any = OmegaConf.to_container(config)
        if override.is_delete() and has(composed, key) and get(composed, key) is None:
            yield f"{key} is null already, which switches it off; leave ~{key} out"
        if override.is_add() and has(composed, key):
            yield f"{key} is there already, so + cannot add it; try {key}={value}"
        if key == "hydra.sweeper.params" and isinstance(params := override.value(), dict):
            jobs = " ".join(f"{name}={typed(each)}" for name, each in params.items())
            yield f"{key} is for YAML files; on the command line, try -m {jobs}"
        if has(composed, key) or override.is_add() or override.is_force_add():
            return
        choice = config.hydra.runtime.choices.get(group)
        keys = [each for each, _ in flat(composed) if "._" not in each]
        keys = [each for each in keys if each.startswith("hydra.") == (group == "hydra")]
        if group == "hydra":  # a key of another part of Hydra's means something else
            group, _, name = key.rpartition(".")
            keys = [each for each in keys if each.startswith(f"{group}.")]
            near = [
                f"{group}.{each}"
                for each in similar(name, [each.rpartition(".")[2] for each in keys])
            ]
        else:
            near = nearest(key, [*keys, *self.options])[:5]
        if override.is_delete():
            remedies = [f"~{other}" for other in near]
        else:
            # Another option of the group has the key, best one that it is named after.
            others = sorted(self.options.get(group, ()), key=lambda option: option not in key)
            remedies = [f"{group}={option} {key}={value}" for option in others]
            remedies += [f"+{key}={value}"] if accepts(key, override.value()) else []
            remedies += [f"{other}={value}" for other in near]
        works = next((each for each in remedies if self._works(*each.split(" "))), None)
        siblings = [each for each in keys if each.startswith(f"{group}.")]
        valid = siblings or [*(each for each in composed if each != "hydra"), "experiment"]
        advice = f"try {works}" if works else f"valid: {', '.join(sorted(valid))}"
        adds = "; + adds another argument of its class" if choice and not works else ""
        where = f"{group}={choice}" if choice else "the configuration"
        where = group if group.startswith("hydra.") else where
        if elsewhere := ELSEWHERE.get(key.rpartition(".")[2]):
            advice, adds = elsewhere, ""
        yield f"{key} is not a key of {where}; {advice}{adds}"
