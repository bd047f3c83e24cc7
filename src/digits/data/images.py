"""Labelled digits in memory, as bytes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from digits.errors import DigitsError

NUM_CLASSES = 10


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images of digits and the digits that they show.

    Attributes:
        images: uint8 tensor of shape `(n, 1, 28, 28)`; 0 is background, 255 is full ink.
        labels: int64 tensor of shape `(n,)`, values 0 to 9.

    Raises:
        DigitsError: If a shape, a type, the two lengths or a label is not as above.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        """Check what would otherwise surface as an index error in the middle of training."""
        shape = tuple(self.images.shape)
        if shape[1:] != (1, 28, 28) or self.images.dtype != torch.uint8:
            raise DigitsError(
                f"images must be uint8 of shape (n, 1, 28, 28), got {self.images.dtype} of {shape}"
            )
        if self.labels.ndim != 1 or self.labels.dtype != torch.int64:
            raise DigitsError(
                f"labels must be int64 of shape (n,), got {self.labels.dtype} of "
                f"{tuple(self.labels.shape)}"
            )
        if len(self.images) != len(self.labels):
            raise DigitsError(f"{len(self.images):,} images but {len(self.labels):,} labels")
        if not len(self.labels):
            raise DigitsError("no images")
        lowest, highest = (int(label) for label in self.labels.aminmax())
        if lowest < 0 or highest >= NUM_CLASSES:
            raise DigitsError(
                f"labels must be in [0, {NUM_CLASSES - 1}], got {lowest} to {highest}"
            )
