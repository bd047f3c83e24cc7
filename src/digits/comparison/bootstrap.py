"""Two groups of runs on the same test images: a bootstrap over images and seeds.

The difference of two groups' mean accuracies varies for two reasons: other test images would have
come out otherwise, and so would other seeds. Both are drawn anew, many times.

- *Images*, of which there are thousands, are resampled with replacement, the same ones for both
  groups (Efron 1979). With the runs as they are, this also holds what only one seed gets wrong.
- *Seeds* are few. Resampling two or three of them says nothing (where both favour a group, each
  resample does: false alarms in up to half of all cases), so they are drawn from a normal
  distribution. How wide it is, is itself known only as well as those few seeds tell: its variance
  is drawn from what they say of it, the scaled inverse chi-squared distribution, which leads to
  Student's t for the mean. From it is subtracted what the images have contributed already, lest
  that be counted twice; the standard error does the same (the two-way variance of Cameron, Gelbach
  and Miller, "Robust inference with multiway clustering", JBES 2011).

Where the seed makes no difference this is the usual paired bootstrap of images, where it makes all
of it the t-test over seeds. In between it errs on the side of "no difference", the more the fewer
the seeds.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 20_000
SEED = 0
"""The same runs always give the same p."""


@dataclass(frozen=True)
class Bootstrap:
    """How the mean accuracies of two groups differ.

    Attributes:
        difference: the first group's less the second one's, a fraction.
        error: its standard error over images and seeds.
        interval: its 95 % interval; holds zero exactly if p is above 0.05.
        p: two-sided, never 0.
        paired: whether both groups have the same seeds, which then are drawn together.
    """

    difference: float
    error: float
    interval: tuple[float, float]
    p: float
    paired: bool


def bootstrap(
    first: npt.NDArray[np.bool_],
    second: npt.NDArray[np.bool_],
    paired: bool,
    resamples: int = RESAMPLES,
) -> Bootstrap:
    """Compares two groups, of which at least one has several runs.

    A group of a single run is taken to vary with its seed as the other group does.

    Args:
        first: (seeds, images), whether each run of a group classified each image correctly.
        second: the same of another group, on the same images.
        paired: whether row by row both have the same seed.
        resamples: how often images and seeds are drawn.
    """
    generator = np.random.default_rng(SEED)
    by_image = first.mean(axis=0) - second.mean(axis=0)
    difference = float(first.mean() - second.mean())
    deviations = _resample_images(by_image, generator, resamples)
    variance = by_image.var() / len(by_image)

    groups = [first.astype(np.float64), second.astype(np.float64)]
    if paired:
        groups = [groups[0] - groups[1]]
    spreads = [_Spread.of(group) for group in groups if len(group) > 1]
    assert spreads, "two runs are compared by McNemar's test"
    drawn = [spread.draw_variances(generator, resamples) for spread in spreads]
    if len(spreads) < len(groups):  # what is not known of the single run is taken from the others
        spreads, drawn = spreads * 2, drawn * 2
    for group, spread, variances in zip(groups, spreads, drawn, strict=True):
        variance += spread.variance / len(group)
        deviations += generator.standard_normal(resamples) * np.sqrt(variances / len(group))

    sizes = np.abs(deviations)
    as_large = int((sizes >= abs(difference) - 1e-12).sum())
    half_width = float(np.quantile(sizes, 0.95))
    return Bootstrap(
        difference=difference,
        error=float(variance) ** 0.5,
        interval=(difference - half_width, difference + half_width),
        p=(1 + as_large) / (1 + resamples),
        paired=paired,
    )


def _resample_images(
    by_image: npt.NDArray[np.float64], generator: np.random.Generator, resamples: int
) -> npt.NDArray[np.float64]:
    """Returns how far the mean over resampled images is from the mean over all: (resamples,).

    Images with the same value are interchangeable, and there are few values; so it is enough to
    draw how many images of each value a resample holds.
    """
    values, counts = np.unique(by_image.round(12), return_counts=True)
    drawn = generator.multinomial(len(by_image), counts / len(by_image), size=resamples)
    deviations: npt.NDArray[np.float64] = drawn @ values / len(by_image) - by_image.mean()
    return deviations


@dataclass(frozen=True)
class _Spread:
    """What some seeds say of how the accuracy varies from seed to seed.

    Attributes:
        total: sample variance of the runs' accuracies (or of their differences).
        noise: the part of it that comes from the images: what the images' and the seeds' own means
            do not explain.
        freedom: seeds less one.
    """

    total: float
    noise: float
    freedom: int

    @classmethod
    def of(cls, group: npt.NDArray[np.float64]) -> "_Spread":
        """Measures (seeds, images)."""
        num_seeds, num_images = group.shape
        by_seed = group.mean(axis=1)
        rest = group - by_seed[:, None] - group.mean(axis=0) + group.mean()
        noise = (rest**2).sum() / ((num_seeds - 1) * (num_images - 1)) / num_images
        return cls(float(by_seed.var(ddof=1)), float(noise), num_seeds - 1)

    @property
    def variance(self) -> float:
        """The variance that is due to the seed itself."""
        return max(0.0, self.total - self.noise)

    def draw_variances(
        self, generator: np.random.Generator, number: int
    ) -> npt.NDArray[np.float64]:
        """Draws what that variance may be: (number,)."""
        totals = self.total * self.freedom / generator.chisquare(self.freedom, number)
        return np.maximum(0.0, totals - self.noise)
