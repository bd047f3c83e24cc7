"""How sure a measured accuracy is."""

import math

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


def wilson_interval(num_correct: int, num_images: int) -> tuple[float, float]:
    """Returns the 95 % interval of an accuracy, as fractions.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
    Unlike the interval p ± 1.96 s, it is right near 100 % too, and stays within [0, 1].

    Args:
        num_correct: images classified correctly, from 0 to `num_images`.
        num_images: images in all, above 0.
    """
    share = num_correct / num_images
    z2 = Z_95 * Z_95 / num_images
    centre = (share + z2 / 2) / (1 + z2)
    half_width = (
        Z_95 / (1 + z2) * math.sqrt(share * (1 - share) / num_images + z2 / (4 * num_images))
    )
    return max(0.0, centre - half_width), min(1.0, centre + half_width)
