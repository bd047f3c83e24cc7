"""What conf/config.yaml asks for in `${...}`: names of runs, jobs at once, and the text of --help.

The help is made from the comments in conf/, so that it cannot differ from them, and an option that
you add there is in it.
"""

import os
import re
import textwrap
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from digits.config.overrides import plain
from digits.files import flat, slug
from digits.text import train_command, typed

STARTED = "DIGITS_STARTED"
"""The environment variable by which the processes of a sweep's jobs know the sweep's time."""

MEMORY_GB_PER_JOB = 1.5
"""What a default run takes, and room for a larger network."""

WIDTH = 100
"""Characters in a line of the help."""

_KEY = re.compile(r"^(?P<indent> *)(?P<key>\w+):[^#]*(#\s*(?P<comment>.*))?$")


def _now() -> str:
    return datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")


_started = os.environ.get(STARTED) or _now()


def register_resolvers() -> None:
    """Make the functions known to OmegaConf under their names."""
    for function in (run_name, job_name, jobs_at_once, train_command, help_choices, help_values):
        OmegaConf.register_new_resolver(function.__name__, function, replace=True)


def restart() -> None:
    """Reset the start time, for the name of another run in this process."""
    global _started
    _started = _now()


def share_start() -> None:
    """Give the processes of a sweep's jobs the time at which the sweep started, for its name."""
    os.environ[STARTED] = _started


def run_name(*, _root_: DictConfig) -> str:
    """Return the time to the microsecond; for a single run, model, optimizer and norm as well."""
    hydra = _hydra(_root_)
    if hydra.mode is RunMode.MULTIRUN:
        return _started
    choices = [hydra.runtime.choices.get(group) for group in ("model", "optim", "norm")]
    return slug(f"{_started}_{'-'.join(choice for choice in choices if choice)}")


def job_name(*, _root_: DictConfig) -> str:
    """Return a job's number and what was asked of it, e.g. `3_dropout_adam_lr-0.01_seed-2`."""
    hydra = _hydra(_root_)
    parts = [str(hydra.job.num)]
    for override in hydra.overrides.task:
        key, _, value = override.lstrip("+").partition("=")
        # Of the whole sweep, or a search's; a job is tested in the same directory.
        if key in ("name", "test") or key.startswith("callbacks.pruning"):
            continue
        is_choice = key in hydra.runtime.choices
        parts.append(value if is_choice else f"{key.rpartition('.')[2]}-{value}")
    return slug("_".join(parts))


def _hydra(root: DictConfig) -> Any:
    """Return Hydra's part; a job's own configuration has none."""
    return root.hydra if "hydra" in root else HydraConfig.get()


def jobs_at_once() -> int:
    """Return one job for each GPU; without a GPU one for each core, as far as memory goes."""
    if gpus := num_gpus():
        return gpus
    if not hasattr(os, "sysconf"):  # Windows
        return num_cores()
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return max(1, min(num_cores(), int(memory_gb / MEMORY_GB_PER_JOB)))


def num_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def num_gpus() -> int:
    """Return the number of NVIDIA GPUs that this process may use, without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([each for each in visible.split(",") if each.strip() not in ("", "-1")])
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))


def help_choices(*, _root_: DictConfig) -> str:
    """Return the config groups, each with its options; a star marks those of the command line."""
    loader, hydra = GlobalHydra.instance().config_loader(), _hydra(_root_)
    chosen = _chosen(hydra)
    groups = reversed([each for each in hydra.runtime.choices if "/" not in each])
    lines = []
    for group in dict.fromkeys([*groups, *(group for group, _ in chosen)]):
        options = loader.get_group_options(group)
        lines += [f"  {group}="] if options else []  # there may be no conf/local
        for option in options:
            mark = "*" if (group, option) in chosen else " "
            lines_of_file = _lines(hydra, group, option)
            first = next((each for each in lines_of_file if not each.startswith("# @package")), "")
            lines.append(_entry(f"  {mark} {option}", first.lstrip("# "), column=20))
    return "\n".join(lines)


def help_values(*, _root_: DictConfig) -> str:
    """Return the keys of the composed configuration with their values, as one types them."""
    hydra = _hydra(_root_)
    comments: dict[str, str] = {}
    for group, option in [("", hydra.job.config_name), *reversed(_chosen(hydra))]:
        for key, comment in _comments(hydra, group, option):
            comments.setdefault(key, comment)
    values = [(key, value) for key, value in flat(plain(_root_)) if "._" not in key]
    return "\n".join(
        _entry(f"  {key}={typed(value)}", comments.get(key, ""), column=42)
        for key, value in sorted(values, key=lambda item: "." in item[0])
    )


def _chosen(hydra: Any) -> list[tuple[str, str]]:
    """Return groups and options in the order of the defaults list; a group may have several."""
    loader, lines = GlobalHydra.instance().config_loader(), list(hydra.overrides.task)
    composed = loader.compute_defaults_list(hydra.job.config_name, lines, RunMode.RUN)
    paths = [str(each.config_path).partition("/") for each in composed.defaults]
    return [(group, option) for group, slash, option in paths if slash and group != "hydra"]


def _lines(hydra: Any, group: str, option: str) -> list[str]:
    """Return the lines of an option's YAML file; none if it is in no folder that we can read."""
    for source in hydra.runtime.config_sources:
        file = Path(source.path, group, f"{option}.yaml")
        if source.schema == "file" and file.is_file():
            return file.read_text(encoding="utf-8").splitlines()
    return []


def _comments(hydra: Any, group: str, option: str) -> Iterator[tuple[str, str]]:
    """Yield the commented keys of an option and of those that it begins from."""
    lines = _lines(hydra, group, option)
    packages = [line.split()[2] for line in lines[:1] if line.startswith("# @package ")]
    package = [*packages, group][0].replace("_global_", "")
    path: list[tuple[int, str]] = [(-1, package)] if package else []
    for line in lines:
        if inherited := re.match(r"^  - (\w+)$", line):
            yield from _comments(hydra, group, inherited[1])
        if found := _KEY.match(line):
            indent = len(found["indent"])
            path = [*(each for each in path if each[0] < indent), (indent, found["key"])]
            if found["comment"]:
                yield ".".join(name for _, name in path), found["comment"]


def _entry(name: str, text: str, column: int) -> str:
    """Return a name and, from a column on, what there is to say of it."""
    line = f"{name:<{column - 2}}  {text}".rstrip()
    return textwrap.fill(line, WIDTH, subsequent_indent=" " * column)
