"""Where the digit is in a picture, and its ink without the ground.

Strokes are dark on light or light on dark, under uneven light, beside a table's edge, on ruled
paper. So candidates are collected at several stroke widths and thresholds, and the one that looks
most like a written digit is taken: long, thin strokes with a sharp edge all around.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from digits.predict.ink import (
    MAX_COMPONENTS,
    TOUCHING_AT_CORNERS,
    Mask,
    ink_of,
    levels,
    noise_of,
    unframed,
    white_of,
)
from digits.predict.mnist_form import DETAIL
from digits.predict.mnist_form import SIDE as MNIST_SIDE
from digits.predict.reading import Picture, Plane, resized, shrunk

LARGEST, SMALLEST = 240, 100
"""Pixels of the longer side between which the digit is looked for."""
STROKE_LIMITS = (0.08, 0.2, 0.45)
"""Of the longer side. A small limit is for thin strokes under spotty light, a large one for a digit
that fills the picture."""
MIN_SCORE = 2.5
"""Blank paper under uneven light, ruled or not, scores about 1 to 2.5, the faintest pencil 3."""
MIN_SIGNAL = 2.5
"""Contrast over noise: of blots in pure noise 1.8 at most, of faint digits under much noise 4."""
GOOD_CONTRAST = 64
"""Above this, the colours are not looked at."""
GAP = 0.3
"""Of a group's longer side: the distance from which on a stroke belongs to something else."""


@dataclass(frozen=True)
class Box:
    """Rows `top` to `bottom - 1`, columns `left` to `right - 1`."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """The number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """The number of columns."""
        return self.right - self.left

    @property
    def side(self) -> int:
        """The longer side."""
        return max(self.height, self.width)

    def share_within(self, other: "Box") -> float:
        """Return how much of this box's area lies in another one."""
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        width = min(self.right, other.right) - max(self.left, other.left)
        return max(0, height) * max(0, width) / (self.height * self.width)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A group of strokes that may be the digit."""

    plane: Plane  # in which it was looked for, see `_prepared`
    mask: Mask  # its pixels
    box: Box  # around it, in pixels of the mask
    at_border: bool  # of the picture
    main_share: float  # of the ink, in its main stroke
    dark: bool  # whether the ink is darker than the ground
    stroke_limit: int  # wider strokes were not looked for
    threshold: float  # pixels with less ink are not counted
    noise: float  # of the ink, where there is none
    score: float = 0.0  # how good a digit it is; comparable within a picture, about 1 to 200
    contrast: float = 0.0  # between ink and ground along the contour, 0 to 255
    thickness: float = 0.0  # half the width of the widest stroke, over the box's longer side


def locate(picture: Picture) -> tuple[Plane, list[Candidate]] | None:
    """Return the plane on which the digits are seen best, and them in reading order, or `None`.

    They are looked for in luminance, in the colours where that has little contrast, and in alpha.
    """
    plane, best = picture.grey, locate_in(picture.grey)
    others = [] if picture.alpha is None else [picture.alpha]
    if best is None or best.contrast < GOOD_CONTRAST:
        others += picture.colours
    for other in others:
        found = locate_in(other)
        if found and (best is None or found.score > best.score):
            plane, best = other, found
    if best is None or best.score < MIN_SCORE:
        return None
    if max(plane.shape) <= MNIST_SIDE:  # in MNIST's own size, a gap in a stroke is a pixel
        return plane, [best]
    return plane, _digits_of(best)


def _prepared(plane: Plane) -> tuple[Plane, float]:
    """Return the plane as digits are looked for in it, and its noise: small, smooth, unframed."""
    plane = shrunk(plane, LARGEST)
    # In a tiny picture each pixel belongs to a stroke, and noise cannot be told from it.
    noise = noise_of(plane) if max(plane.shape) >= 20 else 0.0
    enlargement = max(1, -(-SMALLEST // max(plane.shape)))
    if enlargement > 1:
        plane = resized(plane, enlargement, Image.Resampling.BILINEAR)
    blur = 0.8 * max(plane.shape) / LARGEST
    plane = ndimage.gaussian_filter(plane, blur)
    for dark in (True, False):
        plane = unframed(plane, dark)
    return plane, noise / max(1.0, 2 * math.sqrt(math.pi) * blur / enlargement)


def locate_in(plane: Plane) -> Candidate | None:
    """Return what looks most like a digit, dark or light; `None` if nothing is more than noise."""
    plane, noise = _prepared(plane)
    of_each = (_best(list(_candidates(plane, dark))) for dark in (True, False))
    found = [each for each in of_each if each and each.contrast > MIN_SIGNAL * noise]
    found.sort(key=lambda each: -each.score)
    if len(found) == 2 and _is_page_around(*found):
        return found[1]
    return found[0] if found else None


# Candidates: groups of strokes, at several stroke widths and thresholds.


def _candidates(plane: Plane, dark: bool) -> Iterator[Candidate]:
    side = max(plane.shape)
    for share in STROKE_LIMITS:
        limit = max(3, int(share * side)) | 1
        ink, noise, thresholds = levels(plane, dark, limit)
        for threshold in thresholds:
            for group in _groups(ink, threshold):
                candidate = Candidate(plane, *group, dark, limit, threshold, noise)
                if candidate.box.side >= 0.03 * side and (judged := _judged(candidate)):
                    yield judged


def _groups(ink: Plane, threshold: float) -> Iterator[tuple[Mask, Box, bool, float]]:
    """Yield a `Candidate`'s first four fields: away from the border, and at the border."""
    strokes = ink > threshold
    labels, count = ndimage.label(strokes, TOUCHING_AT_CORNERS)
    if not 0 < count < MAX_COMPONENTS:
        return
    boxes = np.array([[y.start, y.stop, x.start, x.stop] for y, x in ndimage.find_objects(labels)])
    of_each = labels[strokes]
    sums = np.bincount(of_each, ink[strokes])[1:]
    strengths = sums / np.bincount(of_each)[1:]
    touching = (boxes[:, [0, 2]] == 0).any(1) | (boxes[:, [1, 3]] == ink.shape).any(1)
    sides = np.maximum(boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2])
    for at_border in (False, True):
        parts = touching == at_border
        if not parts.any():
            continue
        # The main stroke has much ink, and is spread out.
        main = int(np.argmax(np.where(parts, sums * sides, -1)))
        # Less ink in all is a speck, less of it per pixel a line of the paper.
        parts &= (sums > 0.02 * sums[main]) & (strengths > 0.5 * strengths[main])
        chosen, box = _near(boxes, parts, main)
        mask = np.concatenate([[False], chosen])[labels]
        if at_border and _covers_a_side(mask):
            continue
        yield mask, box, at_border, float(sums[main] / sums[chosen].sum())


def _near(boxes: NDArray[np.int64], strokes: Mask, main: int) -> tuple[Mask, Box]:
    """Return the main stroke and what is near it, near those, and so on; and the box around all."""
    chosen = np.zeros(len(boxes), bool)
    chosen[main] = True
    while True:
        lowest, highest = boxes[chosen].min(0).tolist(), boxes[chosen].max(0).tolist()
        box = Box(lowest[0], highest[1], lowest[2], highest[3])
        gap = GAP * box.side
        near = (
            (boxes[:, 0] < box.bottom + gap)
            & (boxes[:, 1] > box.top - gap)
            & (boxes[:, 2] < box.right + gap)
            & (boxes[:, 3] > box.left - gap)
        )
        if not (near & strokes & ~chosen).any():
            return chosen, box
        chosen |= near & strokes


def _covers_a_side(mask: Mask) -> bool:
    """Say whether it lies along a whole side of the picture, as a table does and a digit hardly."""
    return max(float(side.mean()) for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1])) > 0.97


# Judging: how much like a written digit a group of strokes is.


def _judged(group: Candidate) -> Candidate | None:
    """Return the candidate with its score; `None` if there is no contrast along its contour.

    A digit has long and thin strokes, with a real edge in the picture all around. A shadow is a
    blob with soft edges; and where a piece of the ground has been mistaken for ink, a part of its
    contour is no edge at all.
    """
    box, side = group.box, group.box.side
    step = max(1, side // 48)  # thousands of groups are judged
    margin = 4 * step
    window = (
        slice(max(0, box.top - margin), box.bottom + margin, step),
        slice(max(0, box.left - margin), box.right + margin, step),
    )
    mask = group.mask[window]
    contrasts = _contour_contrasts(group.plane[window], mask, group.dark)
    if not contrasts.size or contrasts.mean() <= 0:
        return None
    contrast = float(contrasts.mean())
    closed = float((contrasts > 0.35 * np.percentile(contrasts, 75)).mean())
    # Beyond the picture's border a stroke goes on.
    half_width = step * float(ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge")).max())
    thickness = half_width / side
    length = mask.sum() * step**2 / (2 * half_width) / max(group.plane.shape)
    score = contrast * length**0.7 * closed**5 * group.main_share**0.5
    score *= min(1.0, (0.15 / thickness) ** 2)  # MNIST's strokes are up to this; a blob's is 0.5
    if 2 * half_width > 0.7 * group.stroke_limit:
        score *= 0.8  # rather the same strokes, found by a larger limit
    return replace(group, score=float(score), contrast=contrast, thickness=thickness)


def _contour_contrasts(plane: Plane, mask: Mask, dark: bool) -> Plane:
    """Return the contrast at each pixel of the contour, negative where `dark` is wrong."""
    around = partial(ndimage.uniform_filter, size=5, mode="constant")
    inside = mask.astype(np.float32)
    share_inside = around(inside)
    share_outside = around(np.ones_like(inside)) - share_inside
    edge = mask & ~ndimage.binary_erosion(mask, TOUCHING_AT_CORNERS)
    contour = edge & (share_outside > 0.15)
    ink = around(plane * inside)[contour] / share_inside[contour]
    ground = around(plane * (1 - inside))[contour] / share_outside[contour]
    contrasts: Plane = ground - ink if dark else ink - ground
    return contrasts


# Choosing among candidates.


def _best(candidates: list[Candidate]) -> Candidate | None:
    """Return the best candidate of one polarity, at the lowest threshold at which it is as good."""
    if not candidates:
        return None
    candidates.sort(key=lambda each: -each.score)
    best = candidates[0]
    if best.at_border:
        best = next((each for each in candidates if _stands_apart(each, best)), best)
    whole = min(
        (each for each in candidates if _is_more_of(best, each)),
        key=lambda each: each.threshold,
        default=best,
    )
    # What touches the border is more often a table or a finger than a digit.
    return replace(whole, score=best.score * (0.5 if best.at_border else 1))


def _stands_apart(candidate: Candidate, at_border: Candidate) -> bool:
    """Say whether it is a digit beside the table at the border, not a piece of it or a speck."""
    return (
        not candidate.at_border
        and candidate.box.side > 0.05 * max(candidate.mask.shape)
        and candidate.contrast > max(0.2 * at_border.contrast, 5 * candidate.noise)
        and candidate.score > 0.05 * at_border.score
    )


def _is_more_of(best: Candidate, other: Candidate) -> bool:
    """Say whether it is the same digit with its fainter strokes."""
    return (
        other.at_border == best.at_border
        and other.stroke_limit == best.stroke_limit
        and other.threshold < best.threshold
        and other.score >= 0.85 * best.score
        and best.box.share_within(other.box) == 1
    )


def _is_page_around(outer: Candidate, inner: Candidate) -> bool:
    """Say whether the better one of two is a small page, on which the other one is written."""
    return (
        not inner.at_border
        and inner.box.share_within(outer.box) > 0.8
        and outer.thickness > 0.15
        and inner.thickness < 0.7 * outer.thickness
        and inner.contrast > 0.4 * outer.contrast
        and inner.score > 0.15 * outer.score
    )


# Several digits: those like the best one, and those that it consists of.


def _digits_of(best: Candidate) -> list[Candidate]:
    """Return the digits, line by line from left to right; `[best]` if there is only one.

    Strokes side by side are digits if each is at least half as high as the highest; what lies
    above or below a digit, as the bar of a 5 does, or in a narrow gap, is a part of it.
    """
    strokes = levels(best.plane, best.dark, best.stroke_limit)[0] > best.threshold
    thickened = max(1, best.box.height // 30)
    thick = ndimage.binary_dilation(strokes, TOUCHING_AT_CORNERS, thickened)
    labels = ndimage.label(thick, TOUCHING_AT_CORNERS)[0] * strokes
    boxes = _boxes(labels)
    own = set(np.unique(labels[best.mask]).tolist()) - {0}
    if best.at_border or not own or len(boxes) > MAX_COMPONENTS:
        return [best]
    height = max(boxes[each - 1].height for each in own)
    parts: list[tuple[Box, list[int]]] = []
    for number, box in sorted(enumerate(boxes, 1), key=lambda each: -each[1].height):
        whole = next((each for each in parts if _belongs(box, each[0], height)), None)
        if whole:
            whole[1].append(number)
        elif 0.5 * height <= box.height <= 2 * height:
            parts.append((box, [number]))
    digits = []
    for _, numbers in parts:
        mask = np.isin(labels, numbers)
        (box,) = _boxes(mask.astype(np.int8))
        at_border = 0 in (box.top, box.left) or (box.bottom, box.right) == best.mask.shape
        judged = _judged(replace(best, mask=mask, box=box, main_share=1.0))
        if judged and not at_border and judged.contrast > 0.6 * best.contrast:
            digits.append(judged)
    if len(digits) < 2:
        return [best]
    digits.sort(key=lambda each: each.box.top + each.box.bottom)
    lines: list[list[Candidate]] = []
    for digit in digits:
        middle = (digit.box.top + digit.box.bottom) / 2
        if not lines or middle > (lines[-1][0].box.top + lines[-1][0].box.bottom + height) / 2:
            lines.append([])
        lines[-1].append(digit)
    return [digit for line in lines for digit in sorted(line, key=lambda each: each.box.left)]


def _boxes(labels: NDArray[np.integer]) -> list[Box]:
    return [Box(y.start, y.stop, x.start, x.stop) for y, x in ndimage.find_objects(labels)]


def _belongs(part: Box, whole: Box, height: int) -> bool:
    """Say whether a stroke lies above, below or within a digit of a line of this height."""
    overlap = min(part.right, whole.right) - max(part.left, whole.left)
    gap = max(part.top, whole.top) - min(part.bottom, whole.bottom)
    return overlap > 0.5 * min(part.width, whole.width) and gap < GAP * height


# Cutting out the digit's ink, in detail.


def cut_out(plane: Plane, digit: Candidate) -> Plane:
    """Return the digit's ink: 0 (ground) to 1 (full ink), with some ground around it.

    The digit's mask may have fewer or more pixels than `plane`, which has all the detail.
    """
    scale = max(plane.shape) / max(digit.mask.shape)
    box, side = digit.box, digit.box.side * scale
    stroke_width = 2 * digit.thickness * side
    margin = 0.15 * side + 2 * scale + 3 * stroke_width + 4
    top, left = (max(0, math.floor(edge * scale - margin)) for edge in (box.top, box.left))
    bottom, right = (
        min(length, math.ceil(edge * scale + margin))
        for edge, length in zip((box.bottom, box.right), plane.shape, strict=True)
    )
    shrinking = min(1.0, DETAIL / side)
    cut = resized(plane[top:bottom, left:right], shrinking, Image.Resampling.BOX)
    limit = max(3, int((2.5 * stroke_width + 2) * shrinking)) | 1
    ink = ink_of(cut, digit.dark, limit, white_of(plane))
    height, width = digit.mask.shape
    part = (left / scale, top / scale, min(right / scale, width), min(bottom / scale, height))
    image = Image.fromarray(digit.mask.astype(np.float32))
    size, resampling = (cut.shape[1], cut.shape[0]), Image.Resampling.BILINEAR
    share = np.asarray(image.resize(size, resampling, box=part))
    mask = share > 0.3 * share.max()  # a stroke of one pixel may fall between two
    near = ndimage.binary_dilation(
        mask, TOUCHING_AT_CORNERS, max(1, round(1.5 * scale * shrinking))
    )
    ink = ink - (np.median(ink[~near]) if not near.all() else 0)
    usual = np.percentile(ink[mask], 75) if mask.any() else ink.max()
    # In an image as small as MNIST's every grey is an edge's, and is kept; in larger ones what is
    # faint is noise or blur, and what is nearly full is full.
    steepness = min(1.0, max(0.0, (side - 28) / (DETAIL - 28)))
    low, high = steepness * 0.15, 1 - steepness * 0.15
    drawn: Plane = np.clip((ink / max(usual, 1e-3) - low) / (high - low), 0, 1) * near
    return drawn
