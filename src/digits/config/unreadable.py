"""Configuration files that cannot be read."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from digits.config.flags import read_flags
from digits.errors import DigitsError


def unreadable_file(error: BaseException, config_dir: Path) -> str | None:
    """Says in one line which file Hydra could not read; `None` if something else went wrong.

    Args:
        error: what Hydra raised; the reason may be its cause, or the cause of that.
        config_dir: the folder with config.yaml and the config groups.
    """
    if isinstance(error, DigitsError):
        return None
    for each in _chain(error):
        if isinstance(each, yaml.MarkedYAMLError) and (mark := each.problem_mark):
            place = f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}"
            return f"{place}: {each.problem}; try to write it as YAML"
        if isinstance(each, UnicodeDecodeError) and (path := _no_text(config_dir)):
            return f"{path} is not UTF-8 text: {each}; try to save it as such"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _no_text(config_dir: Path) -> Path | None:
    """Finds the file, which the error does not name."""
    own = read_flags(config_dir).config_dir
    for folder in (config_dir, *([Path(own)] if own else [])):
        for path in sorted(folder.rglob("*.yaml")):
            try:
                path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                return path
            except OSError:
                continue
    return None
