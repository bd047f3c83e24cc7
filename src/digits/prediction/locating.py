"""Where the digit is, and whether its ink is dark or light."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from digits.prediction.groups import Box, Mask, groups
from digits.prediction.ink import ink_of, noise_of, white_of
from digits.prediction.judging import judge
from digits.prediction.planes import Plane, resized, shrunk

LARGEST, SMALLEST = 240, 100
"""Pixels of the longer side between which the digit is looked for."""
_STROKE_LIMITS = (0.08, 0.2, 0.45)
"""Of the longer side. A small limit is for thin strokes under spotty light, a large one for a digit
that fills the picture."""
_THRESHOLD_STEP = 0.55
_LEAST_SIGNAL = 2.5
"""Contrast over noise: of blots in pure noise 1.8 at most, of faint digits under much noise 4."""
_TINY = 20
"""Pixels a side below which each pixel belongs to a stroke, and noise cannot be told from it."""
_AT_BORDER = 0.5
"""What touches the border is more often a table or a finger than a digit."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """What may be the digit.

    Attributes:
        score: how good a digit it is; see `judging.Verdict`.
        contrast: between ink and ground, 0 to 255.
        thickness: half the width of the widest stroke, over the box's longer side.
        box: around it, in pixels of the mask.
        mask: its pixels, in the picture that it was looked for in.
        dark: whether the ink is darker than the ground.
        at_border: whether it touches the picture's border.
        stroke_limit: the width from which on strokes were not looked for.
        threshold: the ink from which on a pixel is counted.
        noise: of the ink, where there is none.
    """

    score: float
    contrast: float
    thickness: float
    box: Box
    mask: Mask
    dark: bool
    at_border: bool
    stroke_limit: int
    threshold: float
    noise: float

    @property
    def stroke_width(self) -> float:
        """Width of the widest stroke, in pixels of the mask."""
        return 2 * self.thickness * self.box.side


def locate(plane: Plane) -> Candidate | None:
    """Looks for the digit: of what may be one, dark or light, takes the best.

    Returns:
        The candidate, or `None` if nothing is more than noise.
    """
    plane = shrunk(plane, LARGEST)
    noise = noise_of(plane) if max(plane.shape) >= _TINY else 0.0
    enlargement = max(1, -(-SMALLEST // max(plane.shape)))
    if enlargement > 1:
        plane = resized(plane, enlargement, Image.Resampling.BILINEAR)
    blur = min(2.0, noise_of(plane) / 8)
    if max(plane.shape) > SMALLEST:
        blur += 0.8 * max(plane.shape) / LARGEST
    if blur > 0.2:
        plane = ndimage.gaussian_filter(plane, blur)
        noise /= max(1.0, 2 * math.sqrt(math.pi) * blur / enlargement)
    found = [
        best
        for dark in (True, False)
        if (best := _best(list(_candidates(plane, dark)))) and best.contrast > _LEAST_SIGNAL * noise
    ]
    found.sort(key=lambda candidate: -candidate.score)
    if len(found) == 2 and _is_page_around(*found):
        return found[1]
    return found[0] if found else None


def _candidates(plane: Plane, dark: bool) -> Iterator[Candidate]:
    """What may be the digit: at several limits of stroke width, and at several thresholds."""
    white, side = white_of(plane), max(plane.shape)
    for share in _STROKE_LIMITS:
        limit = max(3, int(share * side)) | 1
        ink = ink_of(plane, dark, limit, white)
        quarter, half = np.percentile(ink, (25, 50))
        ink, noise = ink - quarter, float(half - quarter) / 0.6745
        highest = float(ink.max())
        # Where the digit fills the picture, much that is ink is counted as noise here.
        lowest = max(min(4 * noise, 0.35 * highest), 1.0)
        threshold = 0.75 * highest
        while threshold > lowest:
            for group in groups(ink, threshold):
                if group.box.side < 0.03 * side:
                    continue
                verdict = judge(plane, group, dark, limit)
                if verdict:
                    yield Candidate(
                        *verdict, group.box, group.mask, dark, group.at_border, limit, threshold,
                        noise,
                    )  # fmt: skip
            threshold *= _THRESHOLD_STEP


def _best(candidates: list[Candidate]) -> Candidate | None:
    """The best candidate of one polarity, at the lowest threshold at which it is as good."""
    if not candidates:
        return None
    candidates.sort(key=lambda candidate: -candidate.score)
    best = candidates[0]
    if best.at_border:
        best = next((each for each in candidates if _stands_apart(each, best)), best)
    same = [each for each in candidates if _is_more_of(best, each)]
    whole = min(same, key=lambda candidate: candidate.threshold, default=best)
    score = best.score * (_AT_BORDER if best.at_border else 1)
    return Candidate(**{**vars(whole), "score": score})


def _stands_apart(candidate: Candidate, at_border: Candidate) -> bool:
    """Whether a candidate away from the border is a digit beside the table that lies at the border.

    Otherwise it is a piece of what touches the border, or a speck.
    """
    if candidate.at_border:
        return False
    shared = at_border.mask[candidate.mask].mean()
    return (
        candidate.box.side > 0.05 * max(candidate.mask.shape)
        and candidate.contrast > max(0.2 * at_border.contrast, 5 * candidate.noise)
        and candidate.score > 0.05 * at_border.score
        and (shared < 0.3 or candidate.contrast > 1.5 * at_border.contrast)
    )


def _is_more_of(best: Candidate, other: Candidate) -> bool:
    """Whether it is the same digit with its fainter strokes."""
    return (
        other.at_border == best.at_border
        and other.stroke_limit == best.stroke_limit
        and other.threshold < best.threshold
        and other.score >= 0.85 * best.score
        and best.box.share_within(other.box) == 1
    )


def _is_page_around(outer: Candidate, inner: Candidate) -> bool:
    """Whether the better one of two is a small page, on which the other one is written."""
    return (
        not inner.at_border
        and inner.box.share_within(outer.box) > 0.8
        and outer.thickness > 0.15
        and inner.thickness < 0.7 * outer.thickness
        and inner.contrast > 0.4 * outer.contrast
        and inner.score > 0.15 * outer.score
    )
