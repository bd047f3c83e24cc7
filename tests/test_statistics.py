"""Intervals and tests against published cases, scipy, whole numbers and simulations."""

import itertools
from dataclasses import dataclass, replace
from fractions import Fraction
from math import comb

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from digits.statistics import (
    clustered_difference,
    holm,
    mcnemar,
    mean_std,
    student_interval,
    wilson_interval,
)

Answers = npt.NDArray[np.bool_]


def test_wilsons_interval_in_published_cases() -> None:
    # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I.
    for counts, expected in (
        ((81, 263), (0.2553, 0.3662)),
        ((15, 148), (0.0624, 0.1605)),
        ((0, 20), (0, 0.1611)),
        ((1, 29), (0.0061, 0.1718)),
    ):
        assert wilson_interval(*counts) == pytest.approx(expected, abs=5e-5)


def test_the_interval_over_seeds_is_students_within_0_and_1() -> None:
    values = [0.975, 0.9755, 0.9741, 0.976]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert student_interval(values) == pytest.approx((expected.low, expected.high))
    assert student_interval([0.0, 1.0]) == (0, 1)


def test_a_single_value_has_no_deviation_and_nothing_has_no_mean() -> None:
    values = [0.25, 0.75, 0.5]
    assert mean_std(values) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert mean_std([0.5]) == (0.5, None)
    mean, std = mean_std([])
    assert np.isnan(mean) and std is None


def answers(both: int, first: int, second: int, none: int) -> tuple[Answers, Answers]:
    """Make so many images right by both runs, by the first only, by the second only, by none."""
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
def test_mcnemars_p_in_published_cases(table: tuple[int, int, int, int], p: float) -> None:
    assert mcnemar(*answers(*table)).p == pytest.approx(p, rel=2e-2)


@pytest.mark.parametrize("disagree", [1, 2, 5, 6, 17])
def test_mcnemars_p_is_the_exact_binomial_one(disagree: int) -> None:
    for only_first in range(disagree + 1):
        fewer = min(only_first, disagree - only_first)
        tail = Fraction(sum(comb(disagree, k) for k in range(fewer + 1)), 2**disagree)
        found = mcnemar(*answers(10, only_first, disagree - only_first, 3))
        assert found.p == pytest.approx(min(1.0, float(2 * tail)))


def test_mcnemars_interval_holds_zero_exactly_if_p_is_above_5_percent() -> None:
    for first, second in itertools.product(range(15), repeat=2):
        found = mcnemar(*answers(100, first, second, 3))
        low, high = found.interval
        assert low <= found.difference <= high
        assert (low <= 0 <= high) == (found.p > 0.05)


def test_mcnemars_difference_and_error_are_those_of_paired_proportions() -> None:
    first, second = answers(900, 40, 25, 35)
    found = mcnemar(first, second)
    assert found.difference == pytest.approx(0.015)
    assert found.error == pytest.approx(stats.sem(first.astype(float) - second, ddof=0))


def test_holms_correction_in_a_published_case() -> None:
    # Holm 1979 as in R's documentation of p.adjust: multiplied by 4, 3, 2, 1, and never falling.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


@dataclass
class Simulation:
    """Groups of runs whose answers come from normal effects, as in signal detection theory.

    An image is classified correctly if its easiness (of each image, for both groups), what the
    group makes of it (`image`), the seed (`seed`), and chance (`noise`) add up to more than -1.5.
    The numbers are standard deviations; `better` moves the first group.
    """

    image: float
    seed: float
    noise: float
    better: float = 0.0
    num_images: int = 400

    def draw(
        self, generator: np.random.Generator, first: int, second: int
    ) -> tuple[Answers, Answers]:
        """Draw two groups of so many seeds."""
        easiness = generator.standard_normal(self.num_images)

        def group(num_seeds: int) -> npt.NDArray[np.float64]:
            return (
                easiness
                + self.image * generator.standard_normal(self.num_images)
                + self.seed * generator.standard_normal((num_seeds, 1))
                + self.noise * generator.standard_normal((num_seeds, self.num_images))
            )

        return group(first) + self.better > -1.5, group(second) > -1.5

    @property
    def difference(self) -> float:
        """The true difference, over all images and seeds that there could be."""
        spread = (1 + self.image**2 + self.seed**2 + self.noise**2) ** 0.5
        return float(stats.norm.cdf((1.5 + self.better) / spread) - stats.norm.cdf(1.5 / spread))


KINDS = {
    "images": Simulation(image=0.5, seed=0.0, noise=0.0),
    "noise": Simulation(image=0.1, seed=0.0, noise=0.5),
    "mixed": Simulation(image=0.2, seed=0.05, noise=0.3),
    "seeds": Simulation(image=0.1, seed=0.1, noise=0.1),
}
"""What most of the variation comes from; with "images" the seeds of a group all answer alike."""


def residual_mean_square(group: Answers) -> float:
    """Return what least squares leave of a seeds x images table after an effect of each."""
    num_seeds, num_images = group.shape
    rows, columns = np.indices(group.shape).reshape(2, -1)
    effects = np.hstack([np.eye(num_seeds)[rows], np.eye(num_images)[columns]])
    fitted = effects @ np.linalg.lstsq(effects, group.ravel().astype(float))[0]
    degrees_of_freedom = (num_seeds - 1) * (num_images - 1)
    return float(((group.ravel() - fitted) ** 2).sum() / degrees_of_freedom)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seeds", [(2, 2), (3, 5), (6, 4)], ids=str)
def test_the_clustered_variance_is_put_together_from_textbook_parts(
    kind: str, seeds: tuple[int, int]
) -> None:
    simulation = replace(KINDS[kind], num_images=150)
    first, second = simulation.draw(np.random.default_rng(1), *seeds)
    found = clustered_difference(first, second)

    accuracies = [group.mean(axis=1) for group in (first, second)]
    of_seeds = sum(stats.sem(each) ** 2 for each in accuracies)
    of_images = stats.sem(first.mean(axis=0) - second.mean(axis=0)) ** 2
    of_both = sum(residual_mean_square(group) / group.size for group in (first, second))
    variance = max(of_seeds + of_images - of_both, of_seeds, of_images)
    uncertainty = of_images**2 / (150 - 1)
    if of_seeds > 1e-12:  # rounding alone
        uncertainty += of_seeds**2 / stats.ttest_ind(*accuracies, equal_var=False).df
    student = stats.t(variance**2 / uncertainty, scale=variance**0.5)

    assert found.difference == pytest.approx(first.mean() - second.mean())
    assert found.error == pytest.approx(variance**0.5)
    assert found.p == pytest.approx(2 * student.sf(abs(found.difference)))
    expected = found.difference + np.array(student.interval(0.95))
    assert found.interval == pytest.approx(tuple(expected))


def test_where_only_the_seeds_matter_it_is_welchs_t_test() -> None:
    accuracies = np.array([[0.7, 0.8, 0.6, 0.75], [0.5, 0.65, 0.55, 0.7]])
    places = (np.arange(50_000) + 0.5) / 50_000
    first, second = (places < each[:, None] for each in accuracies)
    found = clustered_difference(first, second)
    expected = stats.ttest_ind(*accuracies, equal_var=False)
    # Fifty thousand images still vary a little: the error of their mean is a tenth of the seeds'.
    assert found.p == pytest.approx(expected.pvalue, rel=0.1)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)), abs=0.01)


def test_where_the_seeds_do_not_matter_it_is_the_paired_t_test_over_images() -> None:
    first, second = KINDS["images"].draw(np.random.default_rng(4), 3, 3)
    found = clustered_difference(first, second)
    expected = stats.ttest_rel(first[0].astype(float), second[0].astype(float))
    assert found.p == pytest.approx(expected.pvalue)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_groups_with_the_same_answers_do_not_differ() -> None:
    group, _ = KINDS["mixed"].draw(np.random.default_rng(6), 3, 1)
    found = clustered_difference(group, group)
    assert (found.difference, found.p) == (0, 1)
    right = np.ones((2, 10), bool)
    found = clustered_difference(right, right)
    assert (found.difference, found.error, found.p) == (0, 0, 1)


def test_the_order_of_the_groups_changes_the_sign_only() -> None:
    for sizes in ((1, 4), (3, 3), (2, 5)):
        first, second = KINDS["mixed"].draw(np.random.default_rng(7), *sizes)
        forward = clustered_difference(first, second)
        backward = clustered_difference(second, first)
        low, high = backward.interval
        assert forward.interval == pytest.approx((-high, -low))
        assert (forward.error, forward.p) == pytest.approx((backward.error, backward.p))


def coverage(simulation: Simulation, seeds: tuple[int, int], trials: int) -> float:
    """Return how often the 95 % interval holds the true difference."""
    generator = np.random.default_rng(2)
    inside = 0
    for _ in range(trials):
        low, high = clustered_difference(*simulation.draw(generator, *seeds)).interval
        inside += low <= simulation.difference <= high
    return inside / trials


@pytest.mark.slow
@pytest.mark.parametrize("better", [0.0, 0.5])
@pytest.mark.parametrize("num_seeds", [2, 3, 5, 20])
@pytest.mark.parametrize("kind", KINDS)
def test_of_the_95_percent_intervals_95_percent_hold_the_true_difference(
    kind: str, num_seeds: int, better: float
) -> None:
    simulation = replace(KINDS[kind], better=better)
    # Of 4,000 trials with 95 % the share is within 0.7 percentage points in 95.8 % of cases.
    assert 0.93 <= coverage(simulation, (num_seeds, num_seeds), 4_000) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [(1, 3), (1, 5), (2, 5)], ids=str)
def test_groups_of_different_sizes_are_not_called_different_too_often(
    seeds: tuple[int, int],
) -> None:
    assert coverage(KINDS["mixed"], seeds, 4_000) >= 0.93
