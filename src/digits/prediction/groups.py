"""Strokes that lie together: what may be a digit at one threshold."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from digits.prediction.planes import Plane

Mask = NDArray[np.bool_]
EIGHT = np.ones((3, 3), np.int8)
"""Pixels that touch at a corner are connected."""

_MOST_COMPONENTS = 3000
_GAP = 0.3
"""Of a group's longer side: the distance from which on a stroke belongs to something else."""
_LEAST_INK, _LEAST_STRENGTH = 0.02, 0.5
"""Of the main stroke's: less ink in all is a speck, less of it per pixel a line of the paper."""


class Box(NamedTuple):
    """Rows `top` to `bottom - 1`, columns `left` to `right - 1`."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def side(self) -> int:
        """The longer side."""
        return max(self.bottom - self.top, self.right - self.left)

    def share_within(self, other: "Box") -> float:
        """Returns how much of this box's area lies in another one."""
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        width = min(self.right, other.right) - max(self.left, other.left)
        area = (self.bottom - self.top) * (self.right - self.left)
        return max(0, height) * max(0, width) / area


class Group(NamedTuple):
    """Connected components that lie together.

    Attributes:
        mask: their pixels, as large as the picture.
        box: around all of them.
        at_border: whether they touch the picture's border (those of a group all do, or none does).
        main_share: how much of the ink is in the main component.
    """

    mask: Mask
    box: Box
    at_border: bool
    main_share: float


def groups(ink: Plane, threshold: float) -> Iterator[Group]:
    """Yields the main group that is away from the border, and the main group at the border."""
    labels, count = ndimage.label(ink > threshold, EIGHT)
    if not 0 < count < _MOST_COMPONENTS:
        return
    height, width = ink.shape
    slices = ndimage.find_objects(labels)
    boxes = np.array([[y.start, y.stop, x.start, x.stop] for y, x in slices])
    sums = np.bincount(labels.ravel(), ink.ravel(), count + 1)[1:]
    strengths = sums / np.bincount(labels.ravel(), minlength=count + 1)[1:]
    at_border = (boxes[:, [0, 2]] == 0).any(1) | (boxes[:, [1, 3]] == [height, width]).any(1)
    for border in (False, True):
        candidates = at_border == border
        main = _main(boxes, sums, candidates, max(ink.shape))
        if main is None:
            continue
        candidates &= sums > _LEAST_INK * sums[main]
        candidates &= strengths > _LEAST_STRENGTH * strengths[main]
        chosen, box = _neighbours(boxes, candidates, main)
        mask = np.concatenate([[False], chosen])[labels]
        if border and _covers_a_side(mask):
            continue
        yield Group(mask, box, border, float(sums[main] / sums[chosen].sum()))


def _covers_a_side(mask: Mask) -> bool:
    """Whether it lies along a whole side of the picture, as a table does, and a digit hardly."""
    return max(float(side.mean()) for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1])) > 0.97


def _main(boxes: NDArray[np.int64], sums: NDArray[Any], candidates: Mask, side: int) -> int | None:
    """The component with much ink, and spread out; a line, be it ever so long, is no digit."""
    heights, widths = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    lines = (widths > 5 * heights) | ((heights > 12 * widths) & (heights > 0.6 * side))
    if not (candidates & ~lines).any():
        return None
    weights = sums * np.maximum(heights, widths)
    return int(np.argmax(np.where(candidates & ~lines, weights, -1)))


def _neighbours(boxes: NDArray[np.int64], candidates: Mask, main: int) -> tuple[Mask, Box]:
    """The main component and what is near it, near those, and so on; and the box around all."""
    chosen = np.zeros(len(boxes), bool)
    chosen[main] = True
    while True:
        inside = boxes[chosen]
        lowest, highest = inside.min(0).tolist(), inside.max(0).tolist()
        box = Box(lowest[0], highest[1], lowest[2], highest[3])
        gap = _GAP * box.side
        near = (
            (boxes[:, 0] < box.bottom + gap)
            & (boxes[:, 1] > box.top - gap)
            & (boxes[:, 2] < box.right + gap)
            & (boxes[:, 3] > box.left - gap)
        )
        if not (near & candidates & ~chosen).any():
            return chosen, box
        chosen |= near & candidates
