"""Whether each `_target_` exists and takes the arguments that the configuration has for it."""

import inspect
import sys
from collections.abc import Mapping
from typing import Any

from hydra._internal.utils import _locate

from digits.text import typed
from digits.config.nearest import nearest, suggestion
from digits.config.rules import ELSEWHERE
from digits.config.targets import check_found, check_targets, targets
from digits.errors import DigitsError
from digits.heavy import import_lightning


def check_arguments(config: Mapping[str, Any]) -> None:
    """Checks every `_target_` of a configuration.

    This imports them, and torch with them, which a run needs in any case: so it is the last of
    the checks.

    Raises:
        DigitsError: a class or function is not allowed, does not exist, or does not take an
            argument.
    """
    check_targets(config)
    import_lightning()
    for key, node in targets(config):
        target, names = node["_target_"], [name for name in node if not str(name).startswith("_")]
        accepted: set[str] | None = set()
        if target:
            found = locate(key, target)
            check_found(key, target, found)
            accepted = parameters(found)
        for name in names:
            if accepted is not None and name not in accepted:
                own = [each for each in accepted if f"{key}.{each}" not in ELSEWHERE]
                advice = suggestion(name, own, f"{key}.{{}}={typed(node[name])}")
                raise DigitsError(f"{key}.{name}: {target or 'nothing'} takes no {name}; {advice}")


def locate(key: str, target: str) -> Any:
    """Imports a class or function by its dotted name.

    Raises:
        DigitsError: there is none of that name. A module that fails raises what it raises.
    """
    try:
        found = _locate(target)
    except (ImportError, ValueError) as error:
        cause = error.__cause__
        if cause is not None and not isinstance(cause, ImportError | AttributeError):
            raise cause from None
        parent, _, name = target.rpartition(".")
        others = dir(sys.modules[parent]) if parent in sys.modules else []
        near = [f"{key}._target_={parent}.{other}" for other in nearest(name, others)]
        advice = f"try {near[0]}" if near else "expected package.module.Class"
        raise DigitsError(f"{key}._target_={target} cannot be imported; {advice}") from None
    if not callable(found):
        raise DigitsError(
            f"{key}._target_={target} is no class or function, but a {type(found).__name__}"
        )
    return found


def parameters(target: Any) -> set[str] | None:
    """Returns the names of a function's or class's arguments; `None` if it takes any.

    A class whose `__init__` hands `**kwargs` on is asked together with those it inherits from.
    """
    functions = [target]
    if inspect.isclass(target):
        functions = [vars(cls)["__init__"] for cls in target.__mro__ if "__init__" in vars(cls)]
    names: set[str] = set()
    for function in functions:
        found = inspect.signature(function).parameters.values()
        names |= {
            each.name
            for each in found
            if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        }
        if all(each.kind != each.VAR_KEYWORD for each in found):
            return names - {"self"}
    return None
