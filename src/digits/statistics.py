"""How sure a measured accuracy, or the difference of two, is: intervals and tests with names."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MCNEMAR, CLUSTERED = "exact McNemar", "two-way clustered t"


@dataclass(frozen=True)
class Difference:
    """The accuracy of one run or group of runs minus that of another, on the same images.

    Attributes:
        difference: a fraction, above 0 if the first is better.
        error: its standard error.
        interval: its 95 % interval, which holds 0 exactly if p is above 0.05.
        p: two-sided.
        test: what p is by.
    """

    difference: float
    error: float
    interval: tuple[float, float]
    p: float
    test: str


def wilson_interval(num_correct: int, num_images: int) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy, as fractions.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
    Unlike the interval p ± 1.96 s, it is right near 100 % too, and stays within [0, 1].
    """
    # scipy.stats has this, and takes a second to import.
    z, share = statistics.NormalDist().inv_cdf(0.975), num_correct / num_images
    z2 = z * z / num_images
    centre = (share + z2 / 2) / (1 + z2)
    half_width = z / (1 + z2) * (share * (1 - share) / num_images + z2 / (4 * num_images)) ** 0.5
    return max(0.0, centre - half_width), min(1.0, centre + half_width)


def student_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean of two or more fractions (Student 1908), in [0, 1]."""
    from scipy.special import stdtrit  # scipy.stats takes a second

    mean, error = statistics.fmean(values), statistics.stdev(values) / len(values) ** 0.5
    half_width = float(stdtrit(len(values) - 1, 0.975)) * error
    return max(0.0, mean - half_width), min(1.0, mean + half_width)


def mean_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean (NaN of no values) and the sample's standard deviation (`None` of one)."""
    if not values:
        return math.nan, None
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def mcnemar(first: "npt.NDArray[np.bool_]", second: "npt.NDArray[np.bool_]") -> Difference:
    """Test whether two runs are equally accurate, by the images on which only one is right.

    If they are, each such image is as likely to be the one's as the other's: a fair coin. McNemar,
    "Note on the sampling error of the difference between correlated proportions", Psychometrika
    1947, with the exact binomial distribution in place of its normal approximation. The interval
    is Clopper and Pearson's of the coin, times the share of images that disagree.

    Args:
        first: bool (n,), whether a run classified each image correctly.
        second: bool (n,), the same of another run on the same images.
    """
    from scipy.stats import binomtest  # takes a second

    num_images = len(first)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    disagree = only_first + only_second
    difference = (only_first - only_second) / num_images
    if disagree == 0:
        return Difference(0.0, 0.0, (0.0, 0.0), 1.0, MCNEMAR)
    test = binomtest(only_first, disagree)
    low, high = test.proportion_ci(0.95, method="exact")
    share = disagree / num_images
    return Difference(
        difference=difference,
        error=(disagree - num_images * difference**2) ** 0.5 / num_images,
        interval=(share * (2 * low - 1), share * (2 * high - 1)),
        p=float(test.pvalue),
        test=MCNEMAR,
    )


def clustered_difference(
    first: "npt.NDArray[np.bool_]", second: "npt.NDArray[np.bool_]"
) -> Difference:
    """Compare the mean accuracies of two groups of runs over seeds, on the same images.

    The difference varies because other seeds would have come out otherwise, and other images too.
    Its variance is clustered both ways (Cameron, Gelbach & Miller, "Robust inference with multiway
    clustering", JBES 2011): V = max(Vs + Vi - Vc, Vs, Vi), where

    - Vs = s_A^2 / n_A + s_B^2 / n_B of the seeds' accuracies, as in Welch's test,
    - Vi = the variance over images of the difference of mean correctness, divided by the number
      of images,
    - Vc, which both contain: for each group the residual mean square of its seeds x images table,
      row and column means taken out, divided by its number of cells, added up.

    p and the interval are Student's, with V^2 / (Vs^2 / df_s + Vi^2 / (images - 1)) degrees of
    freedom (Satterthwaite), where df_s is Welch's. A group of one seed is taken to vary with its
    seed as the other group does, which has several.

    Args:
        first: bool (seeds, images), whether each run classified each image correctly.
        second: bool (seeds, images) of the other group; at least one group has several seeds.
    """
    from scipy.special import stdtr, stdtrit  # scipy.stats takes a second

    assert max(len(first), len(second)) > 1, "two single runs are compared by McNemar's test"
    difference = float(first.mean() - second.mean())
    num_images = first.shape[1]
    of_seeds: list[tuple[float, int]] = []  # each group's share of Vs, degrees of freedom
    common = 0.0
    for group, other in ((first, second), (second, first)):
        measured = group if len(group) > 1 else other
        of_seeds.append((float(measured.mean(axis=1).var(ddof=1)) / len(group), len(measured) - 1))
        common += _residual_mean_square(measured) / group.size
    variance_seeds = sum(variance for variance, _ in of_seeds)
    by_image = first.mean(axis=0) - second.mean(axis=0)
    variance_images = float(by_image.var(ddof=1)) / num_images
    variance = max(variance_seeds + variance_images - common, variance_seeds, variance_images)
    if variance == 0:
        p = float(difference == 0)
        return Difference(difference, 0.0, (difference, difference), p, CLUSTERED)
    # Vs^2 / df_s of Welch is the sum of each group's own.
    uncertainty = sum(each**2 / df for each, df in of_seeds)
    uncertainty += variance_images**2 / (num_images - 1)
    degrees_of_freedom = variance**2 / uncertainty
    error = math.sqrt(variance)
    half_width = float(stdtrit(degrees_of_freedom, 0.975)) * error
    return Difference(
        difference=difference,
        error=error,
        interval=(difference - half_width, difference + half_width),
        p=float(2 * stdtr(degrees_of_freedom, -abs(difference) / error)),
        test=CLUSTERED,
    )


def _residual_mean_square(correct: "npt.NDArray[np.bool_]") -> float:
    """Return the mean square of (seeds, images) without the means of its rows and columns."""
    num_seeds, num_images = correct.shape
    rest = correct - correct.mean(axis=1, keepdims=True) - correct.mean(axis=0) + correct.mean()
    return float((rest**2).sum() / ((num_seeds - 1) * (num_images - 1)))


def holm(ps: Sequence[float]) -> list[float]:
    """Correct for several comparisons: the chance of any false alarm stays below the level.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 1979.
    """
    corrected = [0.0] * len(ps)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = largest
    return corrected
