"""How far an exported model's logits are from the original's."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from digits.exporting.capture import DTYPES

BATCH_SIZE = 1000


@dataclass(frozen=True)
class Comparison:
    """The logits of an exported model next to the original's.

    Attributes:
        num_images: images compared.
        largest_difference: of any logit, absolute.
        largest_logit: of the original, absolute; what the difference is to be judged by.
        changed: indices of the images that get another class, or no finite logits, int64 (n,).
    """

    num_images: int
    largest_difference: float
    largest_logit: float
    changed: Tensor


@torch.no_grad()
def compare(
    original: Callable[[Tensor], Tensor],
    exported: Callable[[Tensor], Tensor],
    images: Tensor,
    kinds: Sequence[str],
) -> Comparison:
    """Compares logits and predictions on all images, in batches of different sizes.

    Args:
        original: uint8 images to logits.
        exported: images to logits.
        images: uint8 (n, 1, 28, 28).
        kinds: what `exported` takes: "floats" in [0, 1], "bytes", or both.

    Raises:
        ValueError: the shape of the logits is another one.
    """
    expected = torch.cat([original(batch) for batch in _batches(images)])
    changed = torch.zeros(len(images), dtype=torch.bool)
    differences = []
    for kind in kinds:
        found = torch.cat([exported(_of_kind(batch, kind)) for batch in _batches(images)])
        if found.shape != expected.shape:
            raise ValueError(f"logits are {tuple(found.shape)}, not {tuple(expected.shape)}")
        changed |= (found.argmax(1) != expected.argmax(1)) | ~found.isfinite().all(1)
        differences.append((found - expected).abs().max())
    return Comparison(
        len(images),
        torch.stack(differences).max().item(),
        expected.abs().max().item(),
        changed.nonzero().flatten(),
    )


def _batches(images: Tensor) -> Iterator[Tensor]:
    """Yields one image alone, then batches of 1,000 and what is left."""
    yield images[:1]
    yield from torch.split(images[1:], BATCH_SIZE)


def _of_kind(images: Tensor, kind: str) -> Tensor:
    pixels = images.to(DTYPES[kind])
    return pixels / 255 if pixels.is_floating_point() else pixels
