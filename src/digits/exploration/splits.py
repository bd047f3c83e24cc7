"""The images as a run has them: to train on, to validate and to test with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from digits.data.datamodule import MNISTDataModule


@dataclass(frozen=True, eq=False)
class Split:
    """Images of one use.

    Attributes:
        name: "training", "validation" or "test".
        images: uint8 (n, 1, 28, 28).
        labels: int64 (n,), 0 to 9.
        indices: int64 (n,), each image's place in the training or test part.
    """

    name: str
    images: Tensor
    labels: Tensor
    indices: Tensor


def read_splits(
    folder: Path, source: str, val_size: int, split_seed: int
) -> tuple[str, Sequence[Split]]:
    """Reads the training, validation and test images that a run with these options has.

    Args:
        folder: data.dir of the run.
        source: data.source.
        val_size: data.val_size.
        split_seed: data.split_seed.

    Returns:
        The dataset's name, and the three splits.

    Raises:
        DigitsError: there are no such data, or no such split.
    """
    datamodule = MNISTDataModule(folder, source, val_size=val_size, split_seed=split_seed)
    datamodule.setup("fit")
    datamodule.setup("test")
    train, test = datamodule.train, datamodule.test
    assert train is not None and test is not None
    of_train = {"training": datamodule.train_indices, "validation": datamodule.val_indices}
    return datamodule.dataset, [
        *(
            Split(name, train.images[indices], train.labels[indices], indices)
            for name, indices in of_train.items()
        ),
        Split("test", test.images, test.labels, torch.arange(len(test.labels))),
    ]
