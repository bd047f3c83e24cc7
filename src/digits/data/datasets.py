"""Stub: names that the final module has."""

from digits.data.files import MNIST, SAMPLE

SIDE, NUM_CLASSES = 28, 10
__all__ = ["MNIST", "NUM_CLASSES", "SAMPLE", "SIDE"]
