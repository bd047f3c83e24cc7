"""How much like a written digit a group of strokes is."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from digits.prediction.groups import Box, Group, Mask
from digits.prediction.planes import Plane

_GRID = 48
"""Pixels of a group's longer side on which it is judged: thousands of groups are."""
_AROUND = 5
"""Pixels of that grid: the neighbourhood in which inside and outside are compared."""
_SLENDER = 0.15
"""Thickness of strokes, as half a width over a side: MNIST's are up to this; a blob's is 0.5."""


class Verdict(NamedTuple):
    """What a group of strokes looks like.

    Attributes:
        score: how good a digit it is; comparable within a picture, about 1 to 200.
        contrast: between ink and ground along the contour, 0 to 255.
        thickness: half the width of the widest stroke, over the longer side of the box.
    """

    score: float
    contrast: float
    thickness: float


def judge(plane: Plane, group: Group, dark: bool, stroke_limit: int) -> Verdict | None:
    """Judges a group by its contour and its strokes.

    A digit has long and thin strokes, with a real edge in the picture all around. A shadow is a
    blob with soft edges; and where a piece of the ground has been mistaken for ink, a part of its
    contour is no edge at all.

    Args:
        plane: brightness.
        group: the strokes.
        dark: whether the ink is darker than the ground.
        stroke_limit: the width in pixels from which on strokes were not looked for.
    """
    side = group.box.side
    step = max(1, side // _GRID)
    window = _window(group.box, 4 * step, step)
    mask = group.mask[window]
    if not mask.any():
        return None
    contrasts = _contour_contrasts(plane[window], mask, dark)
    if not contrasts.size or contrasts.mean() <= 0:
        return None
    contrast = float(contrasts.mean())
    closed = float((contrasts > 0.35 * np.percentile(contrasts, 75)).mean())
    half_width = float(_distances_inside(mask).max()) * step
    thickness = half_width / side
    length = mask.sum() * step**2 / (2 * half_width) / max(plane.shape)
    score = contrast * length**0.7 * closed**5 * group.main_share**0.5
    score *= min(1.0, (_SLENDER / thickness) ** 2)
    if 2 * half_width > 0.7 * stroke_limit:
        score *= 0.8  # rather the same strokes, found by a larger limit
    return Verdict(float(score), contrast, thickness)


def _window(box: Box, margin: int, step: int) -> tuple[slice, slice]:
    return (
        slice(max(0, box.top - margin), box.bottom + margin, step),
        slice(max(0, box.left - margin), box.right + margin, step),
    )


def _distances_inside(mask: Mask) -> NDArray[np.float64]:
    # Beyond the picture's border a stroke goes on.
    distances: NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge"))
    return distances


def _contour_contrasts(plane: Plane, mask: Mask, dark: bool) -> Plane:
    """Of each pixel of the contour: how much the ink around it differs from the ground around it.

    Above 0 where the ink is darker (or lighter, if `dark` is false) than the ground.
    """

    def around(values: Plane, size: int = _AROUND) -> Plane:
        mean: Plane = ndimage.uniform_filter(values, size, mode="constant")
        return mean

    inside = mask.astype(np.float32)
    share_inside, share = around(inside), around(np.ones_like(inside))
    share_outside = share - share_inside
    contour = mask & (around(inside, 3) < 0.99) & (share_outside > 0.15)
    ink = around(plane * inside)[contour] / share_inside[contour]
    ground = around(plane * (1 - inside))[contour] / share_outside[contour]
    return ground - ink if dark else ink - ground
