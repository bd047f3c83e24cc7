"""The command `digits`: its verbs train, and look at data and at finished runs."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from digits import __version__
from digits.errors import DigitsError
from digits.process import begin, quick_end

VERBS = ("train", "find-lr", "draw", "explore", "evaluate", "predict", "export", "compare", "data")
"""One file each in digits/commands; its first line is the verb's help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, 1 after an error, 2 for a wrong command line."""
    if (here := os.getcwd()) not in sys.path:  # for your own networks, as with python -m
        sys.path.append(here)
    if (given := list(sys.argv[1:] if arguments is None else arguments))[:1] == ["-sc"]:
        # Hydra's TAB completion, which knows no verbs.
        name, verb, line = [*os.environ.get("COMP_LINE", "digits train").split(" ", 2), ""][:3]
        if verb != "train":
            return 0
        os.environ["COMP_LINE"] = f"{name} {line}"
        given = ["train", *given]
    try:
        parsed = make_parser().parse_args(given)
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
        description="Train a network, and look at data and at finished runs.",
        epilog="digits VERB --help says more about each.",
    )
    parser.add_argument("--version", action="version", version=f"digits {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for verb in VERBS:
        module = importlib.import_module(f"digits.commands.{verb.replace('-', '_')}")
        assert module.__doc__
        is_hydras = verb == "train"  # flags, too
        command = verbs.add_parser(
            verb,
            prefix_chars="\0" if is_hydras else "-",
            add_help=not is_hydras,
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
