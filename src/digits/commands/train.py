"""Train, test, plot and save a network, as python train.py does, from any folder.

What can be chosen: digits train --help. A folder conf/ in the working directory is laid over the
package's own: its files come first.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("arguments", nargs="*")


def run(arguments: argparse.Namespace) -> int:
    """Train."""
    from digits.app import CONF, command

    command(arguments.arguments, CONF)
    return 0
