"""The search space, in Hydra's own syntax: choices, `range`, `interval`, `tag(log, ...)`."""

import math
from dataclasses import dataclass

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

from digits.errors import DigitsError


@dataclass(frozen=True)
class Choices:
    """One of some words, numbers or lists, between which there is no order.

    Args:
        values: each as it is typed on the command line.
    """

    values: tuple[str, ...]

    def __str__(self) -> str:
        """Returns it as it is typed."""
        return f"choice({','.join(self.values)})"


@dataclass(frozen=True)
class Numbers:
    """Numbers between two limits; whole ones if the limits are.

    Args:
        low: the lowest.
        high: the highest; without a step and not whole: the first that is too high.
        step: between neighbours; `None`: any number.
        log: whether 0.001 to 0.01 shall be searched as much as 0.01 to 0.1.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def __str__(self) -> str:
        """Returns it as it is typed."""
        text = f"interval({self.low:.12g},{self.high:.12g})"
        if self.step:
            text = f"range({self.low},{without_noise(self.high + self.step)},{self.step})"
        return f"tag(log,{text})" if self.log else text


Dimension = Choices | Numbers


def dimension(override: Override) -> Dimension | None:
    """Returns what an override has searched; `None` if it names a single value.

    Raises:
        DigitsError: it is no search space, e.g. because an interval is empty.
    """
    value, line = override.value(), override.input_line
    if not override.is_sweep_override():
        return None
    if isinstance(value, ChoiceSweep | RangeSweep):
        value.shuffle = False  # the same space at every start
    tags = value.tags if isinstance(value, ChoiceSweep | RangeSweep | IntervalSweep) else set()
    for tag in tags - {"log"}:
        raise DigitsError(f"{line}: the tag {tag} means nothing here; try tag(log, ...)")
    if not isinstance(value, RangeSweep | IntervalSweep):
        if tags:
            raise DigitsError(f"{line}: choices have no logarithm; try without tag(log, ...)")
        return Choices(tuple(override.sweep_string_iterator()))
    assert isinstance(value, RangeSweep) or (value.start is not None and value.end is not None)
    found = _steps(value) if isinstance(value, RangeSweep) else _interval(value)
    if found.log and found.low <= 0:
        raise DigitsError(
            f"{line}: a logarithm needs a lowest value above 0, got {found.low:g}; "
            f"try tag(log, interval({found.high / 1000:g}, {found.high:g}))"
        )
    if found.log and found.step not in (None, 1):
        raise DigitsError(f"{line}: steps have no logarithm; try tag(log, interval(...))")
    if found.high < found.low or (found.step is None and found.high == found.low):
        raise DigitsError(f"{line} is empty; try the lower limit first, then a higher one")
    return found


def _interval(value: IntervalSweep) -> Numbers:
    assert value.start is not None and value.end is not None
    whole = isinstance(value.start, int) and isinstance(value.end, int)
    return Numbers(value.start, value.end, step=1 if whole else None, log="log" in value.tags)


def _steps(value: RangeSweep) -> Numbers:
    values = list(value.range())
    step = abs(value.step)
    if not all(isinstance(each, int) for each in values):
        values = [without_noise(each) for each in values]
    return Numbers(min(values), max(values), step, log="log" in value.tags)


def values_of(dimension: Dimension) -> list[str] | list[float] | None:
    """Returns all values of a dimension; `None` if there is no end of them."""
    number = num_values(dimension)
    if number is None or isinstance(dimension, Choices):
        return list(dimension.values) if isinstance(dimension, Choices) else None
    assert dimension.step is not None
    return [without_noise(dimension.low + index * dimension.step) for index in range(number)]


def num_values(dimension: Dimension) -> int | None:
    """Returns the number of values of a dimension; `None` if there is no end of them."""
    if isinstance(dimension, Choices):
        return len(dimension.values)
    if dimension.step is None:
        return None
    return 1 + math.floor((dimension.high - dimension.low) / dimension.step + 1e-9)


def without_noise(value: float) -> float:
    """Returns 0.3 for 0.30000000000000004."""
    return value if isinstance(value, int) else float(f"{value:.12g}")
