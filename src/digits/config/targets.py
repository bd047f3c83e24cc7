"""What `_target_` may name in a configuration: classes and functions.

What a group makes is a class of the group's kind (an optimizer, a callback, a logger, ...), which
is checked before it is called. Functions are called only if they are of this package or of the
user's own modules, and nothing of Python's standard library is. A configuration is code that its
user runs, as in every Hydra project: this is for mistakes, and for files that somebody else wrote.
"""

import inspect
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from digits.errors import DigitsError
from digits.text import first_line, nearest, similar, typed

KINDS = {
    "data": "digits.data.datamodule.MNISTDataModule",
    "augment": "digits.models.augmentation.Augmentation",
    "model": "digits.models.Classifier",
    "optim": "torch.optim.Optimizer",
    "schedule": "torch.optim.lr_scheduler.LRScheduler",
    "trainer": "pytorch_lightning.Trainer",
    "callbacks": "pytorch_lightning.Callback",
    "logger": "pytorch_lightning.loggers.Logger",
}
"""What is made for each group: classes are these or derived from them."""

SET_FROM = {
    "data.mean": "norm.mean",
    "data.std": "norm.std",
    "data.seed": "seed",
    "model.seed": "seed",
    "model.optimizer": "optim",
    "model.schedule": "schedule",
    "model.schedule_interval": "schedule.interval",
    "model.schedule_monitor": "schedule.monitor",
    "model.accumulate_grad_batches": "trainer.accumulate_grad_batches",
    "model.gradient_clip_val": "trainer.gradient_clip_val",
    "model.gradient_clip_algorithm": "trainer.gradient_clip_algorithm",
    "trainer.callbacks": "callbacks",
    "trainer.logger": "logger",
    "trainer.default_root_dir": "hydra.run.dir",
}
"""Arguments of a group's class that every run sets from another key."""

ELSEWHERE = dict.fromkeys(
    ("experiment", "debug"), "begin its YAML file with the line '# @package _global_'"
) | {
    "ckpt_path": "to resume a run, give its name=RUN; to start from its weights, init_from=RUN",
}
"""Keys that are not there, and what to do for what they mean."""

OF_TRAINING = ("schedule.interval", "schedule.monitor")
"""Keys that say how what a group makes is used; its class does not get them."""

OF_RUN = {"num_steps", "T_max", "run_dir", "save_dir", "resumed_at_step"} | {
    key.rpartition(".")[2] for key in SET_FROM
}
"""Names of arguments that every run gives."""


def check_targets(values: Mapping[str, Any]) -> None:
    """Check every `_target_`: that it may be called, and takes the arguments that it is given.

    This imports what is named, and torch and Lightning with it.
    """
    check_names(values)
    for key, node in targets(values):
        name = node["_target_"]
        found = _locate(key, name)
        _check_kind(key, name, found)
        if missing := _missing(key, node, found):
            remedy = f"+{key}.{missing[0]}=VALUE"
            raise DigitsError(f"{key}: {name} needs {', '.join(missing)}; try {remedy}")
        accepted, takes_any = parameters(found)
        for argument in (each for each in node if not str(each).startswith("_")):
            if takes_any or argument in accepted or f"{key}.{argument}" in OF_TRAINING:
                continue
            valid = sorted(each for each in accepted if f"{key}.{each}" not in SET_FROM)
            advice = f"valid: {', '.join(valid) or 'none'}"
            if near := nearest(argument, valid):
                advice = f"try {key}.{near[0]}={typed(node[argument])}"
            advice = ELSEWHERE.get(argument, advice)
            raise DigitsError(f"{key}.{argument}: {name} takes no {argument}; {advice}")


def check_names(values: Mapping[str, Any]) -> None:
    """Check every `_target_` as text; nothing is imported."""
    for key, node in targets(values):
        name = node["_target_"]
        if not isinstance(name, str) or not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", name):
            raise DigitsError(
                f"{key}._target_ must be a dotted name, as mynetworks.MyNet, got {typed(name)}"
            )
        if name.startswith("lightning.pytorch."):  # which is the same, in another package
            ours = name.replace("lightning.pytorch", "pytorch_lightning")
            raise DigitsError(f"{key}._target_={name} is not used here; try {key}._target_={ours}")
        if name.partition(".")[0] in sys.stdlib_module_names:
            raise DigitsError(
                f"{key}._target_={name} is refused: it is in Python's standard library"
            )


def targets(node: Any, key: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the mappings with a `_target_`, at any depth, each with its dotted key."""
    if isinstance(node, Mapping) and node.get("_target_") is not None:  # null: logger=none
        yield key, node
    children = node.items() if isinstance(node, Mapping) else ()
    for name, child in enumerate(node) if isinstance(node, list) else children:
        yield from targets(child, f"{key}.{name}".lstrip("."))


def loggers(node: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the configured loggers by their dotted keys: several as `logger.csv`, or `logger`."""
    if node.get("_target_") is not None:
        return {"logger": node}
    return {f"logger.{name}": each for name, each in node.items() if each is not None}


INSTALLED = ("site-packages", "dist-packages")
"""Folders of what is installed."""


def is_own(module: str) -> bool:
    """Say whether a module is the user's: neither Python's, nor installed, nor of this package."""
    package = module.partition(".")[0]
    if package == "__main__":
        return True
    if package in sys.stdlib_module_names or package in ("", "digits", "hydra_plugins"):
        return False
    spec = find_spec(package)
    places = [*(spec.submodule_search_locations or ()), spec.origin or ""] if spec else []
    return spec is not None and not any(name in place for name in INSTALLED for place in places)


def own_place(error: BaseException) -> str:
    """Return the innermost line of the user's own modules that an error passed, if any."""
    return next((place for module, place in reversed(places(error)) if is_own(module)), "")


def places(error: BaseException) -> list[tuple[str, str]]:
    """Return the modules and lines that an error passed, the outermost first."""
    return [
        (
            str(frame.f_globals.get("__name__")),
            f"{Path(frame.f_code.co_filename).name}, line {number}",
        )
        for frame, number in traceback.walk_tb(error.__traceback__)
    ]


def _locate(key: str, name: str) -> Any:
    """Import what a dotted name stands for."""
    try:
        return _import(name)
    except Exception as error:  # whatever a module of the user's own does
        reason, place = f"{type(error).__name__}: {first_line(error)}", own_place(error)
        if place:
            reason += f" ({place})"
        elif isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            own = [each or "." for each in sys.path if not each.startswith(sys.base_prefix)]
            own = [each for each in own if Path(each).name not in INSTALLED]
            reason = f"there is no module {error.name} in {', '.join(own)}"
            reason += "; put its file there, or its folder on PYTHONPATH"
        elif isinstance(error, AttributeError):
            parent, _, last = name.rpartition(".")
            near = similar(last, dir(sys.modules[parent])) if parent in sys.modules else []
            reason = f"try {key}._target_={parent}.{near[0]}" if near else "no such class exists"
        raise DigitsError(f"{key}._target_={name} cannot be imported; {reason}") from error


def _import(name: str) -> Any:
    # pkgutil.resolve_name takes an error within a submodule for a name that is not there.
    module, *rest = name.split(".")
    found: Any = import_module(module)
    for part in rest:
        module = f"{module}.{part}"
        is_module = hasattr(found, "__path__") and find_spec(module)
        found = import_module(module) if is_module else getattr(found, part)
    return found


def _check_kind(key: str, name: str, found: Any) -> None:
    """Check what a name has led to, which may be another module's than the name says."""
    group, *rest = key.split(".")
    depths = {"callbacks": (1,), "logger": (0, 1)}
    kind = KINDS.get(group) if len(rest) in depths.get(group, (0,)) else None
    package = str(getattr(found, "__module__", "")).partition(".")[0]
    is_class = inspect.isclass(found) and package not in sys.stdlib_module_names
    is_function = inspect.isfunction(found) and (package == "digits" or is_own(found.__module__))
    if kind:
        is_class = is_class and issubclass(found, pkgutil.resolve_name(kind))
        is_function = is_function and group == "schedule"
    if not (is_class or is_function):
        expected = f"a {kind or 'class'}"
        if kind is None or group == "schedule":
            expected += " or a function of your own"
        elif inspect.isclass(found) and is_own(found.__module__):
            expected += f", from which your {found.__name__} can be derived"
        raise DigitsError(f"{key}._target_ must be {expected}, got {name}")


def _missing(key: str, node: Mapping[str, Any], target: Any) -> list[str]:
    """Return the arguments of a class that have no default and that nobody gives."""
    is_called_later = key in ("optim", "schedule")  # with the parameters or the optimizer first
    if not inspect.isclass(target) or (node.get("_partial_") and not is_called_later):
        return []
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = inspect.signature(target).parameters.values()
    needed = [each.name for each in found if each.default is each.empty and each.kind in named]
    first = 1 if is_called_later else 0
    return [each for each in needed[first:] if each not in node and each not in OF_RUN]


def parameters(target: Any) -> tuple[set[str], bool]:
    """Return the names of a function's or class's arguments, and whether it takes any others.

    A class whose `__init__` hands `**kwargs` on is asked together with those it inherits from.
    """
    functions = [target]
    if inspect.isclass(target):
        functions = [vars(cls)["__init__"] for cls in target.__mro__ if "__init__" in vars(cls)]
    names: set[str] = set()
    for function in functions:
        found = inspect.getfullargspec(inspect.unwrap(function))
        names |= {*found.args, *found.kwonlyargs}
        if found.varkw is None:
            return names - {"self"}, False
    return names - {"self"}, True
