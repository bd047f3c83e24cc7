"""Shows what the data are: sizes, classes, statistics, pictures."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb."""
    raise NotImplementedError
