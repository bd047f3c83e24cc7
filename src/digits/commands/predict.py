"""Classifies pictures of digits."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb."""
    raise NotImplementedError
