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
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from digits.config.overrides import WrongJob, plain, values
from digits.config.schema import accepts, check
from digits.config.targets import ELSEWHERE, KINDS, own_place, places
from digits.errors import DigitsError
from digits.files import flat, has
from digits.text import first_line, nearest, similar, typed

EXTRAS = {"joblib": "sweep", "submitit_slurm": "slurm", "submitit_local": "slurm", "ray": "ray"}
"""Launchers of other packages, and the extra of this project that installs each."""


def explain(error: BaseException) -> str | None:
    """Return one line for the user; `None` if the error is a fault of the program."""
    text, cause = str(error), error.__cause__
    if isinstance(error, DigitsError):
        return first_line(error)
    if isinstance(error, WrongJob):
        return explain(cause) if cause else None
    if line := _unreadable_file(error):
        return line
    if isinstance(error, InstantiationException) and cause is not None:
        return _failed_call(text, cause)
    if isinstance(error, ConfigAttributeError | ConfigKeyError):
        return None  # code reads a missing key; Hydra itself would have wrapped the error
    missing = re.search(r"Could not (?:load|find) 'hydra/launcher/(\w+)'", text)
    if missing and missing[1] in EXTRAS:
        needed = f"hydra/launcher {missing[1]} needs packages that are not installed"
        return f"{needed}; try pip install 'digits[{EXTRAS[missing[1]]}]'"
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return _no_such_option(group, name, error.options)
    if wrong := re.search(r"In '(.+)': Could not override '(?:\w+/)?(\w+)", text):
        near = similar(wrong[2], [*KINDS, "norm"], limit=1)
        advice = f"try '- override /{near[0]}: OPTION'" if near else "take it out of the file"
        return f"{wrong[1]}.yaml overrides {wrong[2]}, which is chosen nowhere before it; {advice}"
    if twice := re.search(r"Multiple values for (\w+)\. .*'override \w+: (\w+)'", text):
        group, option = twice.groups()
        line = f"in a YAML file's defaults, write '- override /{group}: {option}'"
        return f"{group} is chosen twice ({line}); try {group}={option}"
    if isinstance(error, HydraException | OmegaConfBaseException):
        key = getattr(error, "full_key", None)
        lines = [f"{key}: {first_line(error)}" if key else first_line(error)]
        lines += [first_line(cause)] if cause is not None else []
        return "; ".join(line.rstrip(".") for line in lines if line)
    is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    is_missing = isinstance(error, FileNotFoundError)  # which we should have looked for
    if isinstance(error, OSError) and (is_full or (error.filename and not is_missing)):
        remedy = "; free some space and run the same command again" if is_full else ""
        return f"{error.filename or 'a file'} cannot be written or read ({error.strerror}){remedy}"
    # By name, so that a wrong option need not wait for the import of Lightning.
    is_mistake = "MisconfigurationException" in {cls.__name__ for cls in type(error).__mro__}
    if isinstance(error, ImportError):  # a callback of Lightning's lacks a package
        is_mistake = _raised_by(error, "pytorch_lightning.", "lightning_fabric.")
    # submitit: that there is no cluster.
    return first_line(error) if is_mistake or _raised_by(error, "hydra.", "submitit.") else None


def _failed_call(text: str, cause: BaseException) -> str | None:
    """Return what a class that the configuration names objects to; `text` is Hydra's."""
    place = own_place(cause)
    is_ours = _raised_by(cause, "digits.") and type(cause) is not ValueError
    if is_ours or isinstance(cause, DigitsError | OSError):
        return explain(cause)
    target, key = re.search("'(.+)'", text), re.search("full_key: (.+)", text)
    parts = [key and key[1], target and target[1], type(cause).__name__, first_line(cause)]
    return ": ".join(part for part in parts if part) + (f" ({place})" if place else "")


def _raised_by(error: BaseException, *packages: str) -> bool:
    *_, (module, _) = [("", ""), *places(error)]
    return module.startswith(packages)


def _unreadable_file(error: BaseException) -> str | None:
    """Return which file of a configuration is not YAML, and where; `None` if all are."""
    cause: BaseException | None = error
    for _ in range(10):  # causes may lead back to where they began
        if isinstance(cause, yaml.MarkedYAMLError) and (mark := cause.problem_mark):
            return f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}: {cause.problem}"
        if isinstance(cause, UnicodeDecodeError):
            return f"a file is not UTF-8 text ({cause}); save it as such"
        cause = cause and (cause.__cause__ or cause.__context__)
    return None


def _no_such_option(group: str, name: str, options: Sequence[str]) -> str:
    near = similar(name, options, limit=1)
    advice = f"try {group}={near[0]}" if near else f"valid: {', '.join(options)}"
    return f"{group}={name} does not exist; {advice}"


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
                others = [values(each)[0] for each in parsed if each is not override]
                yield self._several(override, others)
        choices = [each for each in parsed if each.key_or_group in self.options]
        for override in choices:
            group, options = override.key_or_group, self.options[override.key_or_group]
            for line in [] if override.is_delete() else values(override):
                for name in line.partition("=")[2].strip("[]").split(","):
                    if name not in options:
                        yield _no_such_option(group, name, options)
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
            check(plain(self._compose(*(values(each)[0] for each in parsed))))
        except (HydraException, OmegaConfBaseException, DigitsError, ValueError):
            return False
        return True

    def _unreadable(self, line: str, error: OverrideParseException) -> str:
        words = line.split()
        if len(words) > 1 and all(re.match(r"[+~]*[\w./@]+=", word) for word in words):
            return f"{line!r}: one override per argument; write {' and '.join(map(repr, words))}"
        if "=" in line:
            lines = [each for each in str(error).splitlines() if "Error parsing" not in each]
            reason = lines[0].partition(" expecting ")[0]
            advice = "close brackets and quotes, and quote special characters"
            return f"{line} cannot be read ({reason}); {advice}"
        present = dict(flat(plain(self._compose())))
        remedies = [f"{line}={option}" for option in self.options.get(line, [])]
        remedies += [
            f"{group}={line}" for group, options in self.options.items() if line in options
        ]
        remedies += [f"{key}={typed(present[key])}" for key in nearest(line, present)]
        advice = f"; try {remedies[0]}" if remedies else ""
        return f"{line} has no value, expected KEY=VALUE{advice}"

    def _several(self, override: Override, others: Sequence[str]) -> str:
        line = str(override.input_line)
        key, _, value = line.partition("=")
        remedies = {
            line: f"-m {line} for a run each",
            f"{key}=[{value}]": f"{key}=[{value}] for a list",
        }
        works = [
            advice
            for remedy, advice in remedies.items()
            if self._works(remedy) or self._works(remedy, *others)
        ]
        return f"{line} names several values" + (f"; try {', or '.join(works)}" if works else "")

    def _key(self, override: Override) -> Iterator[str]:
        key, line = override.key_or_group, str(override.input_line)
        value, group = line.partition("=")[2], key.partition(".")[0]
        config = self._compose()
        composed: Any = OmegaConf.to_container(config)
        if override.is_add() and has(composed, key):
            yield f"{key} is there already, so + cannot add it; try {key}={value}"
        if has(composed, key) or override.type is not OverrideType.CHANGE:
            return
        keys = [each for each, _ in flat(composed) if "._" not in each]
        keys = [each for each in keys if each.startswith("hydra.") == (group == "hydra")]
        siblings = [each for each in keys if each.startswith(f"{key.rpartition('.')[0]}.")]
        near = nearest(key, [*keys, *self.options])[:5]
        # Another option of the group has the key, best one that it is named after.
        others = sorted(self.options.get(group, ()), key=lambda option: option not in key)
        remedies = [f"{group}={option} {key}={value}" for option in others]
        remedies += [f"+{key}={value}"] if accepts(key, override.value()) else []
        remedies += [f"{other}={value}" for other in near]
        works = next((each for each in remedies if self._works(*each.split(" "))), None)
        choice = config.hydra.runtime.choices.get(group)
        valid = siblings or [*(each for each in composed if each != "hydra"), "experiment"]
        advice = f"try {works}" if works else f"valid: {', '.join(sorted(valid))}"
        adds = "; + adds another argument of its class" if choice and not works else ""
        where = f"{group}={choice}" if choice else "the configuration"
        advice = ELSEWHERE.get(key.rpartition(".")[2], f"{advice}{adds}")
        yield f"{key} is not a key of {where}; {advice}"
