"""McNemar's exact test against published cases, whole numbers and another implementation."""

from fractions import Fraction
from math import comb

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from digits.statistics import mcnemar


def answers(
    both: int, first: int, second: int, none: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """So many images right by both runs, by the first one only, by the second one only, by none."""
    counts = [both, first, second, none]
    return np.repeat([True, True, False, False], counts), np.repeat(
        [True, False, True, False], counts
    )


@pytest.mark.parametrize(
    ("table", "p"),
    [
        # Agresti, Categorical Data Analysis, 2nd edition, table 10.1: approval of a prime minister;
        # there by the normal approximation, z = -4.17, p = 3.1e-5, which the exact one is close to.
        ((794, 150, 86, 570), 3.7e-5),
        # statsmodels' documentation and Wikipedia ("McNemar's test"): 121 against 59.
        ((101, 121, 59, 33), 4.434e-06),
        # Fay, "Exact McNemar's Test and Matching Confidence Intervals" (R package exact2x2): 2, 21.
        ((0, 21, 2, 0), 6.604e-05),
    ],
)
def test_published_cases(table: tuple[int, int, int, int], p: float) -> None:
    assert mcnemar(*answers(*table)).p == pytest.approx(p, rel=2e-2)


@pytest.mark.parametrize("disagree", [1, 2, 5, 6, 17])
def test_p_is_the_exact_binomial_one(disagree: int) -> None:
    for only_first in range(disagree + 1):
        fewer = min(only_first, disagree - only_first)
        tail = Fraction(sum(comb(disagree, k) for k in range(fewer + 1)), 2**disagree)
        found = mcnemar(*answers(10, only_first, disagree - only_first, 3))
        assert found.p == pytest.approx(min(1.0, float(2 * tail)))


def test_the_interval_holds_zero_exactly_if_p_is_above_5_percent() -> None:
    for first in range(15):
        for second in range(15):
            found = mcnemar(*answers(100, first, second, 3))
            low, high = found.interval
            assert low <= found.difference <= high
            assert (low <= 0 <= high) == (found.p > 0.05)


def test_difference_and_error_are_those_of_paired_proportions() -> None:
    first, second = answers(900, 40, 25, 35)
    found = mcnemar(first, second)
    apart = first.astype(float) - second
    assert found.difference == pytest.approx(0.015)
    assert found.error == pytest.approx(stats.sem(apart, ddof=0))


def test_two_runs_that_agree_on_every_image_do_not_differ() -> None:
    found = mcnemar(*answers(90, 0, 0, 10))
    assert (found.difference, found.p, found.interval) == (0, 1, (0, 0))
