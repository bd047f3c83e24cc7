"""Which images of a data set validate: at random, by writers, or a fold of cross-validation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from digits.data.datasets import (
    SAMPLE,
    VAL_SIZE,
    LabelledImages,
    asked_for,
    default_val_size,
    prepare,
    prepare_writers,
    read,
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
    option: str = "data.val_size",
) -> tuple[Tensor, Tensor]:
    """Divide the images of a data set that is prepared into those to train and to validate on.

    Arguments are those of `MNISTDataModule`; `option` is what the size is called where it is typed.

    Returns:
        Indices of the training images and of the validation images: int64, ascending, disjoint.
    """
    if val_size is None or (dataset == SAMPLE and val_size == VAL_SIZE):
        val_size = default_val_size(dataset, len(labels))
    known = read_writers(folder, dataset, labels) if split == "writers" else None
    if folds is not None:
        if known is None:
            fold_of = folds_by_class(labels, folds, split_seed)
        else:
            fold_of = folds_by_writers(known.writers, known.series, folds, split_seed)
        held_out = torch.from_numpy(fold_of == fold)
        if held_out.all() or not held_out.any():
            raise DigitsError(f"data.fold={fold} of data.folds={folds} has no images")
        train, val = torch.nonzero(~held_out)[:, 0], torch.nonzero(held_out)[:, 0]
    elif known is None or not val_size:
        train, val = stratified_split(labels, val_size, split_seed, option)
    else:
        train, val = writers_split(known.writers, known.series, val_size, split_seed, option)
    if train_size is not None:
        chosen = stratified_split(labels[train], train_size, split_seed, "data.train_size", 1)[1]
        train = train[chosen]
    return train, val


def read_validation(
    folder: Path, dataset: str, record: Mapping[str, Any], source: str = "download"
) -> LabelledImages:
    """Read the images that a network was validated on, as the `split` of its record says.

    Raises:
        DigitsError: The images are not there, or others.
    """
    found = prepare(folder, "sample" if dataset == SAMPLE else source, asked_for(dataset))
    if record["split"] == "writers":
        prepare_writers(folder, source, dataset)
    train = read(folder, "train", found)
    keys = ("val_size", "split", "split_seed", "folds", "fold")
    options = {key: record[key] for key in keys}
    _, chosen = split_images(folder, found, train.labels, **options)
    if (found, split_hash(chosen)) != (dataset, record["val_sha256"]):
        raise DigitsError(f"{folder} gives other validation images than those of the training")
    return LabelledImages(train.images[chosen], train.labels[chosen])
