"""Which classes and functions a configuration may name: nothing else is imported or called.

A name is checked twice. First as text, when nothing is imported: it must be a module's file and one
name in it, of the packages below or of your own. Then what was found there is checked, since names
lead elsewhere: it must be of the kind that its group takes.
"""

import importlib
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from digits.text import typed
from digits.config.modules import is_file, is_own, places
from digits.errors import DigitsError

PACKAGES = (
    *("digits", "torch.nn", "torch.optim", "lightning_fabric.plugins"),
    *("pytorch_lightning.trainer", "pytorch_lightning.callbacks", "pytorch_lightning.loggers"),
    *(f"pytorch_lightning.{name}" for name in ("plugins", "profilers", "strategies")),
)
NAMES = ("pytorch_lightning.Trainer", "pytorch_lightning.Callback")
HYDRA = (
    *("digits.config.check", "digits.sweeps.follow", "hydra_plugins"),
    *("hydra.experimental.callbacks", "hydra._internal.core_plugins"),
)
"""What Hydra's own part of the configuration may name."""

KINDS = {
    "data": "digits.data.datamodule.MNISTDataModule",
    "augment": "digits.augmentation.Augmentation",
    "model": "digits.models.Classifier",
    "optim": "torch.optim.Optimizer",
    "schedule": "torch.optim.lr_scheduler.LRScheduler",
    "trainer": "pytorch_lightning.Trainer",
    "callbacks": "pytorch_lightning.Callback",
    "logger": "pytorch_lightning.loggers.Logger",
}
"""What is made for each group: classes are these or derived from them."""

_DOTTED = re.compile(r"(__main__|(?!__)[^\W\d]\w*)(\.(?!__)[^\W\d]\w*)+", re.ASCII)


def targets(node: Any, key: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the mappings with a `_target_`, at any depth, each with its dotted key."""
    children: Iterable[tuple[Any, Any]] = enumerate(node) if isinstance(node, list) else ()
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield key, node
        children = node.items()
    for name, child in children:
        yield from targets(child, f"{key}.{name}".lstrip("."))


def check_targets(values: Any) -> None:
    """Checks all names in a configuration as text; nothing is imported.

    Args:
        values: the configuration, or a part of it under its keys, as plain Python.

    Raises:
        DigitsError: a name is not allowed, or arguments are given without their names.
    """
    for key, node in targets(values):
        if "_args_" in node:
            raise DigitsError(
                f"{key}._args_ is refused; try arguments by their names, as {key}.lr=0.1"
            )
        if node["_target_"] is not None:
            packages = HYDRA if key.startswith("hydra.") else PACKAGES
            check_name(f"{key}._target_", node["_target_"], packages)


def check_name(key: str, name: Any, packages: tuple[str, ...] = PACKAGES) -> None:
    """Checks one name as text.

    Args:
        key: what has the name as its value, for the message.
        name: must be e.g. "mynetworks.MyNet".
        packages: those that it may be in, besides modules of the user's own.

    Raises:
        DigitsError: it is not allowed, or its module does not exist.
    """
    if not isinstance(name, str) or not _DOTTED.fullmatch(name):
        expected = "must be a dotted name as mynetworks.MyNet"
        raise DigitsError(f"{key} {expected}, got {typed(name)}; try {key}=FILE.CLASS")
    module, _, attribute = name.rpartition(".")
    is_known = name in NAMES or _within(module, packages)
    is_public = attribute[0].isupper() or module == "digits.schedules"  # classes; no functions
    if places(module) and not is_own(module) and not (is_known and is_public):
        raise DigitsError(
            f"{key}={name} is refused: a configuration may name classes of digits, torch.nn, "
            "torch.optim and pytorch_lightning, and your own; "
            f"try {key}=FILE.CLASS with a file of your own beside train.py"
        )
    if not is_file(module):
        raise DigitsError(
            f"{key}={name} cannot be imported: there is no module {module}; "
            "try to put its file beside train.py or on PYTHONPATH"
        )


def check_found(key: str, name: str, found: Any) -> None:
    """Checks what a name has led to.

    Args:
        key: the mapping that has the name as its `_target_`.
        name: an allowed one.
        found: what was imported by it.

    Raises:
        DigitsError: it is not of the kind that its group takes, or from a package not allowed.
    """
    group, *rest = key.split(".")
    is_whole = len(rest) == (1 if group == "callbacks" else 0)  # and not within another one
    kind = KINDS.get(group) if is_whole else None
    module = str(getattr(found, "__module__", ""))
    is_class, is_function = inspect.isclass(found), inspect.isfunction(found)
    if kind:
        parent, _, attribute = kind.rpartition(".")
        base = getattr(importlib.import_module(parent), attribute)
        accepted = is_class and issubclass(found, base)
        if group == "schedule" and is_function:
            accepted = module == "digits.schedules" or is_own(module)
        expected = f"{key}._target_ must be a {kind}"
        expected += " or a function of digits.schedules or your own" if group == "schedule" else ""
    else:
        accepted = (is_class and _within(module, PACKAGES)) or is_own(module)
        accepted &= is_class or is_function
        expected = f"{key}._target_ must be a class of {', '.join(PACKAGES)} or your own"
    if not accepted:
        what = f"{module}.{getattr(found, '__qualname__', type(found).__name__)}".lstrip(".")
        leads = "" if what == name else f", which is {what}"
        raise DigitsError(f"{expected}, got {name}{leads}; try {key}._target_=FILE.CLASS")


def _within(module: str, packages: Iterable[str]) -> bool:
    return f"{module}.".startswith(tuple(f"{each}." for each in packages))
