"""What the options that several networks share may be."""

from collections.abc import Sequence

from digits.errors import DigitsError


def check_widths(name: str, widths: Sequence[int], remedy: str) -> None:
    """Checks the sizes of a network's layers.

    Args:
        name: the option, as in `model.hidden`.
        widths: one positive whole number for each layer.
        remedy: what to try instead, as one would type it.

    Raises:
        DigitsError: there is none, or one of them is no positive whole number.
    """
    if not widths or any(
        isinstance(width, bool) or not isinstance(width, int) or width < 1 for width in widths
    ):
        raise DigitsError(
            f"{name} must be a list of positive whole numbers, got {list(widths)}; "
            f"try {name}={remedy}"
        )


def check_rate(name: str, rate: float) -> None:
    """Checks the share that dropout leaves out.

    Raises:
        DigitsError: it is outside [0, 1).
    """
    if not 0 <= rate < 1:
        raise DigitsError(f"{name} must be in [0, 1), got {rate}; try {name}=0.2")
