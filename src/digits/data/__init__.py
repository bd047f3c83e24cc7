"""MNIST: found or downloaded, verified, read, split, normalized, handed out in minibatches."""

from digits.data.datamodule import MNISTDataModule

__all__ = ["MNISTDataModule"]
