"""From a picture file to the 28 x 28 pixels that a network receives."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits.errors import DigitsError
from digits.prediction.drawing import draw_ink
from digits.prediction.locating import Candidate, locate
from digits.prediction.mnist_form import mnist_form
from digits.prediction.planes import Plane, Planes, planes_of
from digits.prediction.reading import read

LEAST_SCORE = 2.5
"""Blank paper under uneven light, ruled or not, scores about 1 to 2.5, the faintest pencil 3."""
_GOOD_CONTRAST = 64
_NO_DIGIT = "no digit found: nothing stands out from the ground as pen strokes do"


def prepare(path: Path) -> NDArray[np.uint8]:
    """Reads a picture of one digit and brings it to MNIST's form.

    Returns:
        Bytes of shape (28, 28), light ink on a dark ground.

    Raises:
        DigitsError: the file cannot be read (`reading.read`), or no digit is found.
    """
    plane, digit = _locate(planes_of(read(path)))
    image = None
    if digit is not None and digit.score >= LEAST_SCORE:
        image = mnist_form(draw_ink(plane, digit))
    if image is None:
        raise DigitsError(_NO_DIGIT)
    return image


def _locate(planes: Planes) -> tuple[Plane, Candidate | None]:
    """The digit, and the plane on which it is seen best."""
    plane, best = planes.grey, locate(planes.grey)
    if best is None or best.contrast < _GOOD_CONTRAST:
        for colour in planes.colours:
            digit = locate(colour)
            if digit and (best is None or _is_better(digit, best)):
                plane, best = colour, digit
    if planes.alpha is not None:
        digit = locate(planes.alpha)
        if digit and (best is None or digit.score > best.score):
            plane, best = planes.alpha, digit
    return plane, best


def _is_better(digit: Candidate, other: Candidate) -> bool:
    """Whether a colour shows the digit much better than luminance does."""
    if digit.at_border != other.at_border:
        return other.at_border
    return digit.score > 1.3 * other.score
