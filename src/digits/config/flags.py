"""The command line's flags, such as -m, before Hydra reads them."""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from digits.config.mistakes import find_mistake
from digits.errors import DigitsError


def read_flags(config_dir: Path) -> argparse.Namespace:
    """Reads the command line as Hydra will.

    Args:
        config_dir: the folder with config.yaml, for keys that someone wrote as a flag.

    Raises:
        DigitsError: a flag is unknown; argparse itself would print half a screen.
    """

    def refuse(message: str) -> NoReturn:
        raise DigitsError(_advice(message, config_dir))

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    return parser.parse_args()


def _advice(message: str, config_dir: Path) -> str:
    unknown = message.removeprefix("unrecognized arguments: ").split()[0]
    if message.startswith("unrecognized arguments") and not unknown.startswith("-"):
        flags = [word for word in sys.argv[1:] if word.startswith("-")]
        others = [word for word in sys.argv[1:] if not word.startswith("-")]
        return f"{unknown} stands behind a flag; try {' '.join(flags + others)}"
    if message.startswith("unrecognized arguments"):
        override = unknown.lstrip("-")
        key = override.partition("=")[0]
        mistake = find_mistake([override], config_dir) if key and "=" in override else None
        advice = mistake.partition("; ")[2] if mistake else f"try {override} without dashes"
        return f"{unknown} is no flag; {advice if '=' in override else 'try --help'}"
    return f"{message}; try --help"
