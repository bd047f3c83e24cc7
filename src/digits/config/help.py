"""What `python train.py --help` lists: choices and values, with the comments of their YAML files.

So the help cannot differ from conf/, and an option that you add there is in it.
"""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from digits.text import typed
from digits.config.nearest import leaves

WIDTH = 100
KEY = re.compile(r"^(?P<indent> *)(?P<key>\w+):[^#]*(#\s*(?P<comment>.*))?$")
"""A line of YAML with a key and perhaps a comment."""


def help_choices() -> str:
    """Returns the config groups, each with its options; a star marks those of the command line."""
    loader, chosen = GlobalHydra.instance().config_loader(), HydraConfig.get().runtime.choices
    lines = []
    for group in (
        each for each in reversed(list(chosen)) if "/" not in each
    ):  # as in the defaults list
        lines.append(f"  {group}=")
        for option in loader.get_group_options(group):
            mark = "*" if option == chosen[group] else " "
            lines.append(_entry(f"  {mark} {option}", _claim(group, option), column=20))
    return "\n".join(lines)


def help_values(*, _root_: DictConfig) -> str:
    """Returns the keys of the composed configuration with their values, as one would type them."""
    comments: dict[str, str] = {}
    for group, option in ("", HydraConfig.get().job.config_name), *_chosen():
        for key, comment in _comments(group, str(option)):
            comments.setdefault(key, comment)
    plain: dict[str, Any] = {}
    for name in _root_:
        if name != "hydra":
            value = _root_[name]
            is_config = OmegaConf.is_config(value)
            plain[str(name)] = OmegaConf.to_container(value, resolve=True) if is_config else value
    lines = []
    for key, value in sorted(leaves(plain).items(), key=lambda item: "." in item[0]):
        lines.append(_entry(f"  {key}={typed(value)}", comments.get(key, ""), column=42))
    return "\n".join(lines)


def _chosen() -> list[tuple[str, str | None]]:
    return [item for item in HydraConfig.get().runtime.choices.items() if "/" not in item[0]]


def _text(group: str, option: str) -> list[str]:
    """Returns the lines of an option's YAML file; none if it is in no folder that we can read."""
    for source in HydraConfig.get().runtime.config_sources:
        file = Path(source.path, group, f"{option}.yaml")
        if source.schema == "file" and file.is_file():
            return file.read_text().splitlines()
    return []


def _claim(group: str, option: str) -> str:
    """Returns the first comment of an option's YAML file, which says when to pick it."""
    comments = [line[1:].strip() for line in _text(group, option) if line.startswith("#")]
    return next((line for line in comments if not line.startswith("@")), "")


def _comments(group: str, option: str) -> Iterator[tuple[str, str]]:
    """Yields the commented keys of an option and of those that it begins from."""
    path: list[tuple[int, str]] = [(-1, group)] if group else []
    for line in _text(group, option):
        if inherited := re.match(r"^  - (\w+)$", line):
            yield from _comments(group, inherited[1])
        if found := KEY.match(line):
            indent = len(found["indent"])
            path = [*(each for each in path if each[0] < indent), (indent, found["key"])]
            if found["comment"]:
                yield ".".join(name for _, name in path), found["comment"]


def _entry(name: str, text: str, column: int) -> str:
    """Returns a name and, from a column on, what there is to say of it."""
    lines = textwrap.wrap(text, WIDTH - column) or [""]
    if len(name) >= column and text:
        lines.insert(0, "")
    first = f"{name:<{column}}{lines[0]}".rstrip()
    return "\n".join([first, *(" " * column + line for line in lines[1:])])
