"""Which images of a data set validate: at random, by writers, or a fold of cross-validation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from digits.data.datasets import (
    PICTURES,
    SAMPLE,
    VAL_SIZE,
    LabelledImages,
    read_again,
    read_writers,
)
from digits.data.split import (
    folds_by_class,
    folds_by_writers,
    split_hash,
    stratified_split,
    writers_split,
)
from digits.errors import DigitsError


def split_images(
    folder: str | Path,
    dataset: str,
    labels: Tensor,
    val_size: int | None = None,
    train_size: int | None = None,
    split: str = "random",
    split_seed: int = 0,
    folds: int | None = None,
    fold: int | None = None,
    val_sha256: str | None = None,
    option: str = "data.val_size",
) -> tuple[Tensor, Tensor]:
    """Divide the images of a data set that is prepared into those to train and to validate on.

    Arguments are those of `MNISTDataModule`, `val_sha256` is the expected `split_hash`, and
    `option` is what the size is called where it is typed.

    Returns:
        Indices of the training images and of the validation images: int64, ascending, disjoint.
    """
    if dataset == SAMPLE and val_size in (None, VAL_SIZE):
        val_size = 500
    elif val_size is None:
        val_size = len(labels) // 10 if dataset.startswith(PICTURES) else VAL_SIZE
    known = read_writers(folder, dataset, labels) if split == "writers" else None
    if folds is not None:
        if known is None:
            fold_of = folds_by_class(labels, folds, split_seed)
        else:
            fold_of = folds_by_writers(*known, folds, split_seed)
        held_out = torch.from_numpy(fold_of == fold)
        if not held_out.any():
            fewer = min(5, len(labels))
            numbers = ",".join(map(str, range(fewer)))
            raise DigitsError(
                f"data.fold={fold} of data.folds={folds} has none of the {len(labels)} images; "
                f"try -m data.folds={fewer} data.fold={numbers}"
            )
        train, val = torch.nonzero(~held_out)[:, 0], torch.nonzero(held_out)[:, 0]
    elif known is None or not val_size:
        train, val = stratified_split(labels, val_size, split_seed, option)
    else:
        train, val = writers_split(*known, val_size, split_seed, option)
    if val_sha256 not in (None, split_hash(val)):
        raise DigitsError(
            f"{folder} gives other validation images than those of the training; "
            "try the folder of the training"
        )
    if train_size is not None and train_size > len(train):
        raise DigitsError(
            f"data.train_size must be at most {len(train)}, the images left to train on, "
            f"got {train_size}; try data.train_size=null for all of them"
        )
    if train_size not in (None, len(train)):
        chosen = stratified_split(labels[train], train_size, split_seed, "data.train_size", 1)[1]
        train = train[chosen]
    return train, val


def read_validation(
    folder: Path, dataset: str, split: Mapping[str, Any], source: str = "download"
) -> LabelledImages:
    """Read the images that a network was validated on, as the `split` of its record says.

    Raises:
        DigitsError: The images are not there or not known, or others are.
    """
    if split["val_sha256"] is None:
        raise DigitsError("which images validated it is not known")
    train = read_again(folder, "train", dataset, source, split["split"])
    _, chosen = split_images(folder, dataset, train.labels, **split)
    return LabelledImages(train.images[chosen], train.labels[chosen])
