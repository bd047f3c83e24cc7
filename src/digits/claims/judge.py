"""Whether what was trained again agrees with what was claimed.

**The test** is Student's two-sample t-test (pooled, two-sided), which needs only what a header
holds: mean, standard deviation and number of seeds. A paired test of seed by seed would need the
single results. The variance is pooled because both samples are of the same command, if the claim
holds; what Welch's test takes for allowing two variances, a few seeds do not have. Two-sided, since
a claim that is too low is as wrong as one that is too high.

One seed that goes astray widens the pooled variance until the t-test finds nothing. So an F-test
asks, too, whether the results vary more than claimed; and a difference of more than a point is
never passed: where neither test finds anything, the claim cannot be judged.

**The level** is 0.001 for each, because claims are checked again and again: of ten that hold, all
checked at once, 2 % of the checks raise a false alarm. At 0.05 it would be most of them. The price
is that small differences pass; how small is computed and said.

**Rounding** counts for the claim: its mean is taken as near, and its standard deviation as large,
as its digits allow. Where nothing varies, rounding is all that may differ.

What the tests cannot know: on the machine of the claim the same seeds give the same bits, elsewhere
the same first weights, so the two samples agree a little more than independent ones would, and
false alarms are rarer than the level says. What they take for granted: accuracies over seeds are
about normally distributed.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from digits.claims.header import Claim

LEVEL = 0.001
"""A p below it means that the claim does not hold."""
LARGE = 1.0
"""Percentage points, about what the exercise's improvement is worth."""

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "cannot be judged"


@dataclass(frozen=True)
class Judgement:
    """A claim beside what was found.

    Attributes:
        claim: what was claimed.
        mean: test accuracy found, in percent.
        std: over the seeds, in percentage points; `None` for one seed.
        num_seeds: how many runs were found.
        difference: found less claimed, in percentage points.
        interval: the difference's 95 % interval; `None` if nothing tells how much seeds vary.
        p: of the t-test; `None` as well.
        noticed: the difference from which on the t-test notices it, in percentage points.
        p_spread: of the F-test; `None` if one of the two has one seed only.
        verdict: "holds", "does not hold" or "cannot be judged".
    """

    claim: Claim
    mean: float
    std: float | None
    num_seeds: int
    difference: float
    interval: tuple[float, float] | None
    p: float | None
    noticed: float | None
    p_spread: float | None
    verdict: str


def judge(claim: Claim, accuracies: Sequence[float]) -> Judgement:
    """Holds a claim against the test accuracies, fractions, of one run or more."""
    from scipy import stats  # takes half a second

    numbers = len(claim.seeds), len(accuracies)
    mean = 100 * statistics.fmean(accuracies)
    std = 100 * statistics.stdev(accuracies) if len(accuracies) > 1 else None
    difference = mean - claim.mean
    excess = max(0.0, abs(difference) - claim.rounding - 1e-9)  # more than rounding explains
    stds = 0.0 if claim.std is None else claim.std + claim.rounding, std or 0.0
    error = _error(stds, numbers)
    interval = p = noticed = p_spread = None
    if error is not None:
        p = 1.0 if excess == 0 else 0.0
        if error > 0:
            found, claimed = (excess, stds[1], numbers[1]), (0.0, stds[0], numbers[0])
            p = float(stats.ttest_ind_from_stats(*found, *claimed, equal_var=True).pvalue)
        freedom = sum(numbers) - 2
        half_width = error * float(stats.t.ppf(0.975, freedom))
        interval = difference - half_width, difference + half_width
        noticed = error * float(stats.t.ppf(1 - LEVEL / 2, freedom)) + claim.rounding
    if claim.std is not None and std is not None:
        ratio = (stds[1] / stds[0]) ** 2
        p_spread = float(stats.f.sf(ratio, numbers[1] - 1, numbers[0] - 1))
    return Judgement(
        *(claim, mean, std, numbers[1], difference, interval, p, noticed, p_spread),
        verdict=_verdict(excess, p, p_spread),
    )


def _error(stds: tuple[float, float], numbers: tuple[int, int]) -> float | None:
    """Returns the standard error of the difference of two means, from the pooled variance."""
    freedom = sum(numbers) - 2
    if freedom == 0:
        return None
    squares = sum((number - 1) * std**2 for std, number in zip(stds, numbers, strict=True))
    return math.sqrt(squares / freedom * sum(1 / number for number in numbers))


def _verdict(excess: float, p: float | None, p_spread: float | None) -> str:
    if any(each is not None and each < LEVEL for each in (p, p_spread)):
        return FAILS
    return UNKNOWN if excess > LARGE or (p is None and excess > 0) else HOLDS
