"""The paired bootstrap against cases whose answer is known."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from digits.comparison.bootstrap import bootstrap
from digits.statistics import mcnemar

Answers = npt.NDArray[np.bool_]

RESAMPLES = 999
"""Enough for p of simulated comparisons, of which there are many."""


class Simulation:
    """Groups of runs whose answers come from normal effects, as in signal detection theory.

    An image is classified correctly if its easiness (of each image, for both groups), what the
    group makes of it (`image`), the seed (`seed`), and chance (`noise`) add up to more than -1.5.
    The numbers are standard deviations; `better` moves the first group.
    """

    num_images = 400

    def __init__(self, image: float, seed: float, noise: float, better: float = 0.0) -> None:
        self.image, self.seed, self.noise, self.better = image, seed, noise, better

    def draw(
        self, generator: np.random.Generator, first: int, second: int
    ) -> tuple[Answers, Answers]:
        """Groups of so many seeds."""
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
        """The true one, over all images and seeds that there could be."""
        spread = (1 + self.image**2 + self.seed**2 + self.noise**2) ** 0.5
        return float(stats.norm.cdf((1.5 + self.better) / spread) - stats.norm.cdf(1.5 / spread))


KINDS = {
    "images": Simulation(image=0.5, seed=0.0, noise=0.1),
    "noise": Simulation(image=0.1, seed=0.0, noise=0.5),
    "mixed": Simulation(image=0.2, seed=0.05, noise=0.3),
    "seeds": Simulation(image=0.1, seed=0.25, noise=0.1),
}
"""What most of the variation comes from."""


def number_below(level: float, trials: int) -> float:
    """So many of `trials` uniform numbers or fewer are below `level`, with probability 99.9 %."""
    return float(stats.binom.ppf(0.999, trials, level))


@pytest.mark.parametrize("seeds", [(2, 2), (3, 3), (5, 5), (3, 5)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_without_a_difference_p_is_below_5_percent_in_5_percent_at_most(
    kind: str, seeds: tuple[int, int]
) -> None:
    generator = np.random.default_rng(0)
    trials = 250
    found = [
        bootstrap(*KINDS[kind].draw(generator, *seeds), paired=seeds[0] == seeds[1], resamples=499)
        for _ in range(trials)
    ]
    for level in (0.05, 0.2):
        assert sum(each.p <= level for each in found) <= number_below(level, trials)


@pytest.mark.parametrize("kind", ["images", "seeds"])
def test_without_a_difference_p_is_uniform_where_one_source_of_variation_prevails(
    kind: str,
) -> None:
    generator = np.random.default_rng(1)
    ps = [
        bootstrap(*KINDS[kind].draw(generator, 8, 8), paired=True, resamples=RESAMPLES).p
        for _ in range(400)
    ]
    # Kolmogorov's test at the level 0.001: no true uniform sample of 400 is further off than 0.097.
    assert stats.kstest(ps, "uniform").pvalue > 0.001


@pytest.mark.parametrize("kind", KINDS)
def test_a_known_difference_is_within_the_interval_and_found(kind: str) -> None:
    simulation = Simulation(*vars(KINDS[kind]).values())
    simulation.better = 1.0
    generator = np.random.default_rng(2)
    found = [
        bootstrap(*simulation.draw(generator, 5, 5), paired=True, resamples=499) for _ in range(200)
    ]
    inside = [each.interval[0] <= simulation.difference <= each.interval[1] for each in found]
    assert sum(not each for each in inside) <= number_below(0.05, 200)
    assert np.mean([each.p < 0.05 for each in found]) > 0.9
    differences = [each.difference for each in found]
    assert np.mean(differences) == pytest.approx(
        simulation.difference, abs=4 * stats.sem(differences)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("paired", [True, False])
def test_the_error_is_the_spread_of_the_difference_over_images_and_seeds(
    kind: str, paired: bool
) -> None:
    generator = np.random.default_rng(3)
    found = [
        bootstrap(*KINDS[kind].draw(generator, 4, 4), paired=paired, resamples=2)
        for _ in range(1000)
    ]
    spread = np.std([each.difference for each in found])
    # A thousand differences tell their standard deviation to 2.2 %. Variances are cut at 0 where
    # the seeds' is small, so that the error is rather too large than too small.
    error = np.mean([each.error**2 for each in found]) ** 0.5
    assert 0.93 * spread < error < 1.2 * spread


def test_where_the_seeds_do_not_matter_it_is_the_bootstrap_of_images() -> None:
    first, second = KINDS["images"].draw(np.random.default_rng(4), 1, 1)
    three = np.repeat(first, 3, axis=0), np.repeat(second, 3, axis=0)
    found = bootstrap(*three, paired=True)
    apart = first[0].astype(float) - second[0]
    generator = np.random.default_rng(5)
    means = [generator.choice(apart, len(apart)).mean() - apart.mean() for _ in range(4000)]
    assert found.difference == pytest.approx(apart.mean())
    assert found.error == pytest.approx(np.std(means), rel=0.05)
    assert found.interval[1] - found.difference == pytest.approx(
        np.quantile(np.abs(means), 0.95), rel=0.06
    )
    exact = mcnemar(first[0], second[0])
    disagree = int((first[0] != second[0]).sum())
    as_observed = stats.binom.pmf(int((first[0] & ~second[0]).sum()), disagree, 0.5)
    # The exact test counts the observed split in full; without its steps half of it is the mean.
    assert found.p == pytest.approx(exact.p - as_observed, abs=0.02)


def test_where_only_the_seeds_matter_it_is_the_t_test_over_seeds() -> None:
    accuracies = np.array([[0.7, 0.8, 0.6, 0.75], [0.5, 0.65, 0.55, 0.7]])
    places = (np.arange(50_000) + 0.5) / 50_000
    first, second = (places < each[:, None] for each in accuracies)
    found = bootstrap(first, second, paired=True, resamples=200_000)
    expected = stats.ttest_rel(*accuracies)
    # Fifty thousand images still vary a little: the error of their mean is a tenth of the seeds'.
    assert found.p == pytest.approx(expected.pvalue, rel=0.1)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)), abs=0.01)


def test_two_seeds_that_agree_are_no_proof() -> None:
    places = (np.arange(10_000) + 0.5) / 10_000
    first, second = (places < np.array(each)[:, None] for each in ([0.99, 0.97], [0.96, 0.965]))
    found = bootstrap(first, second, paired=True)
    assert found.p > 0.2  # resampling the two differences, both above 0, would give 1 / 20,001


def test_groups_with_the_same_answers_do_not_differ() -> None:
    group, _ = KINDS["mixed"].draw(np.random.default_rng(6), 3, 1)
    found = bootstrap(group, group, paired=True)
    assert (found.difference, found.error, found.p) == (0, 0, 1)


def test_a_single_run_is_taken_to_vary_as_the_other_group_does() -> None:
    generator = np.random.default_rng(7)
    simulation = KINDS["mixed"]
    found = []
    for _ in range(400):
        one, four = simulation.draw(generator, 1, 4)
        forward = bootstrap(one, four, paired=False, resamples=499)
        backward = bootstrap(four, one, paired=False, resamples=499)
        assert backward.error == pytest.approx(forward.error)
        found.append(forward)
    assert sum(each.p <= 0.05 for each in found) <= number_below(0.05, 400)


def test_the_same_runs_always_give_the_same_p() -> None:
    groups = KINDS["mixed"].draw(np.random.default_rng(8), 3, 3)
    assert bootstrap(*groups, paired=True) == bootstrap(*groups, paired=True)
