import pytest
from scipy.stats import binomtest, norm

from digits.statistics import Z_95, wilson_interval


@pytest.mark.parametrize(
    ("num_correct", "num_images"),
    [(0, 1), (1, 1), (0, 10), (10, 10), (5, 10), (437, 500), (893, 1_000), (9_790, 10_000)],
)
def test_the_interval_is_scipys(num_correct: int, num_images: int) -> None:
    expected = binomtest(num_correct, num_images).proportion_ci(0.95, method="wilson")
    found = wilson_interval(num_correct, num_images)
    assert found == pytest.approx((expected.low, expected.high), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("num_images", [1, 3, 10_000])
def test_the_interval_stays_within_0_and_1_and_holds_the_accuracy(num_images: int) -> None:
    for num_correct in {0, 1, num_images // 2, num_images}:
        low, high = wilson_interval(num_correct, num_images)
        assert 0 <= low < high <= 1
        rounding = 1e-15
        assert low - rounding <= num_correct / num_images <= high + rounding


def test_the_quantile_is_that_of_the_standard_normal() -> None:
    assert pytest.approx(norm.ppf(0.975), rel=1e-15) == Z_95
