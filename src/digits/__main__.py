"""The command `digits`: its verbs look at data and at finished runs. train.py trains."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from digits import __version__
from digits.errors import DigitsError
from digits.process import begin, quick_end

VERBS = ("explore", "evaluate", "predict", "export", "compare", "data", "draw")
"""One file each in digits/commands; its first line is the verb's help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, 1 after an error, 2 for a wrong command line."""
    if (here := os.getcwd()) not in sys.path:  # for your own networks, as with python -m
        sys.path.append(here)
    try:
        parsed = make_parser().parse_args(arguments)
        code: int = parsed.do(parsed)
        sys.stdout.flush()
    except DigitsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, e.g. `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a folder that is a file, a full disk
        print(f"error: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return code


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all verbs."""
    parser = argparse.ArgumentParser(
        prog="digits",
        description="Look at data and at finished runs. Training is: python train.py --help",
        epilog="digits VERB --help says more about each.",
    )
    parser.add_argument("--version", action="version", version=f"digits {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for verb in VERBS:
        module = importlib.import_module(f"digits.commands.{verb}")
        assert module.__doc__
        command = verbs.add_parser(
            verb,
            help=module.__doc__.partition("\n")[0],
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(do=module.run)
    return parser


def command() -> None:
    """Run one verb as a process."""
    begin()
    with quick_end():
        sys.exit(main())


if __name__ == "__main__":
    command()
