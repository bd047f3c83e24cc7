"""Claims are judged as scipy judges the whole samples; chance is seldom taken for a change."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from digits.claims.header import Claim
from digits.claims.judge import FAILS, HOLDS, LEVEL, UNKNOWN, judge
from digits.claims.report import sentences


def claim(mean: float, std: float | None, num_seeds: int = 5, rounding: float = 0.005) -> Claim:
    seeds = tuple(range(num_seeds))
    return Claim("quick", ("-m",), seeds, mean, std, rounding, 2.1, "2 cores", "2.15", "2026-11-23")


def claim_of(percents: np.ndarray, rounding: float = 0.0) -> Claim:
    std = float(percents.std(ddof=1)) if len(percents) > 1 else None
    return claim(float(percents.mean()), std, len(percents), rounding)


@pytest.mark.parametrize("numbers", [(5, 5), (5, 3), (2, 2), (5, 1), (1, 5)])
def test_p_and_interval_are_those_of_scipy_from_all_results(numbers: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    claimed, found = (random.normal(97.5, 0.1, number) for number in numbers)
    judged = judge(claim_of(claimed), (found / 100).tolist())
    theirs = stats.ttest_ind(found, claimed)
    assert judged.p == pytest.approx(theirs.pvalue)
    assert judged.interval == pytest.approx(tuple(theirs.confidence_interval()))
    if min(numbers) > 1:
        ratio = found.var(ddof=1) / claimed.var(ddof=1)
        assert judged.p_spread == pytest.approx(stats.f.sf(ratio, numbers[1] - 1, numbers[0] - 1))


def test_chance_is_seldom_taken_for_a_change() -> None:
    random = np.random.default_rng(1)
    samples = random.normal(97.5, 0.1, (3000, 2, 5)).round(2)
    verdicts = [judge(claim_of(old), (new / 100).tolist()).verdict for old, new in samples]
    assert np.mean([verdict != HOLDS for verdict in verdicts]) < 2 * LEVEL + 0.003


def test_what_is_said_to_be_noticed_is_noticed() -> None:
    found = [0.9740, 0.9750, 0.9760]
    noticed = judge(claim(97.5, 0.1, 5), found).noticed
    assert noticed is not None
    for sign in (-1, 1):
        judged = judge(claim(97.5 + sign * noticed, 0.1, 5), found)
        assert judged.p == pytest.approx(LEVEL, rel=1e-4)
    assert judge(claim(97.5 + noticed + 0.01, 0.1, 5), found).verdict == FAILS
    assert judge(claim(97.5 - noticed + 0.01, 0.1, 5), found).verdict == HOLDS


def test_one_seed_that_goes_astray_is_told() -> None:
    judged = judge(claim(97.5, 0.1), [0.975, 0.976, 0.974, 0.975, 0.1])
    assert judged.p is not None and judged.p > 0.1
    assert judged.verdict == FAILS
    assert any("vary more than claimed" in line for line in sentences(judged))


def test_a_large_difference_is_never_passed_for_want_of_seeds() -> None:
    judged = judge(claim(97.5, 2.0, 2), [0.93, 0.96])
    assert judged.p is not None and judged.p > LEVEL
    assert judged.verdict == UNKNOWN
    assert "so wide an interval says little" in sentences(judged)[-1]


@pytest.mark.parametrize(
    ("claimed", "found", "verdict"),
    [
        (claim(97.50, 0.0), [0.97504] * 5, HOLDS),  # rounded to 97.50
        (claim(97.50, 0.0), [0.9755] * 5, FAILS),
        (claim(97.50, None, 1), [0.97504], HOLDS),
        (claim(97.50, None, 1), [0.9755], UNKNOWN),
        (claim(97.50, None, 1), [0.9750] * 5, HOLDS),
        (claim(97.50, None, 1), [0.9755] * 5, FAILS),
        (claim(97.50, 0.10), [0.9755], HOLDS),
        (claim(97.50, 0.20), [0.9645], UNKNOWN),
        (claim(97.50, 0.10), [0.9355], FAILS),
    ],
)
def test_single_seeds_and_results_that_do_not_vary(
    claimed: Claim, found: list[float], verdict: str
) -> None:
    assert judge(claimed, found).verdict == verdict


def test_the_same_results_hold_however_they_were_rounded() -> None:
    percents = np.array([97.513, 97.614, 97.426, 97.555, 97.398])
    rounded = claim(round(float(percents.mean()), 2), round(float(percents.std(ddof=1)), 2))
    judged = judge(rounded, (percents / 100).tolist())
    assert (judged.verdict, judged.p) == (HOLDS, 1.0)
    figures = "97.50 ± 0.09 % (5 seeds)"
    said = f"quick holds: claimed {figures}, found {figures}: +0.00 points, 95 % interval "
    assert sentences(judged)[0].startswith(said)
    alone = sentences(judge(dataclasses.replace(rounded, seeds=(0,), std=None), [0.98]))
    assert "one seed each does not tell" in alone[1]
