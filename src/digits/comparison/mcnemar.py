"""Two runs on the same test images: McNemar's exact test."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class McNemar:
    """What the images say on which two runs disagree.

    Attributes:
        only_first: images that only the first run classified correctly.
        only_second: images that only the second one did.
        difference: the first run's accuracy less the second one's, a fraction.
        error: its standard error over images.
        interval: its 95 % interval.
        p: two-sided probability of so uneven a disagreement between equally accurate runs.
    """

    only_first: int
    only_second: int
    difference: float
    error: float
    interval: tuple[float, float]
    p: float


def mcnemar(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> McNemar:
    """Tests whether two runs are equally accurate, by the images on which only one is right.

    If they are, each such image is as likely to be the one's as the other's: a fair coin. McNemar,
    "Note on the sampling error of the difference between correlated proportions", Psychometrika
    1947, with the exact binomial distribution in place of its normal approximation. The interval
    is Clopper and Pearson's of the coin, times the share of images that disagree, so that it holds
    zero exactly if p is above 0.05.

    Args:
        first: (n,), whether a run classified each image correctly.
        second: (n,), the same of another run on the same images.
    """
    from scipy.stats import binomtest  # takes a second

    num_images = len(first)
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    disagree = only_first + only_second
    difference = (only_first - only_second) / num_images
    error = (disagree - num_images * difference**2) ** 0.5 / num_images
    if disagree == 0:
        return McNemar(0, 0, 0.0, 0.0, (0.0, 0.0), 1.0)
    test = binomtest(only_first, disagree)
    low, high = test.proportion_ci(0.95, method="exact")
    share = disagree / num_images
    interval = (share * (2 * low - 1), share * (2 * high - 1))
    return McNemar(only_first, only_second, difference, error, interval, float(test.pvalue))
