"""What there is to train on, until the module of that name is written."""

from digits.data.images import NUM_CLASSES, LabelledImages
from digits.data.mnist import MNIST, SAMPLE, SOURCES, prepare, read

__all__ = [
    "CLASSES",
    "MNIST",
    "NUM_CLASSES",
    "SAMPLE",
    "SIDE",
    "SOURCES",
    "LabelledImages",
    "prepare",
    "read",
]

SIDE = 28
CLASSES = tuple("0123456789")
