"""Learning rate schedules, and in one line what an optimizer or a schedule objects to.

A schedule is made from an optimizer, whose learning rate is the peak, and the number of optimizer
steps in all. The options that several have:

    warmup_rate: share of the steps, in [0, 1), in which the learning rate rises linearly.
    final_rate: share of the peak, in [0, 1], that is reached at the end.
"""

import inspect
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from digits.config.targets import is_own, own_place
from digits.errors import DigitsError
from digits.text import first_line


def make_schedule(
    make: Callable[..., LRScheduler | None], optimizer: Optimizer, num_steps: int
) -> LRScheduler | None:
    """Call what makes a schedule: a function with both, a class (as torch's) with the optimizer.

    A class too is given the number of steps if its arguments name it: `num_steps`, or the `T_max`
    of torch's CosineAnnealingLR if that is not set. `schedulers` of a class (as of torch's
    SequentialLR) are made the same way.
    """
    if not inspect.isclass(getattr(make, "func", make)):
        return make(optimizer, num_steps)
    given = getattr(make, "keywords", {})
    if parts := given.get("schedulers"):
        schedulers = [make_schedule(each, optimizer, num_steps) for each in parts]
        return make(optimizer=optimizer, schedulers=schedulers)
    free = inspect.signature(make).parameters.keys() - given.keys()
    return make(optimizer, **dict.fromkeys(free & {"num_steps", "T_max"}, num_steps))


@contextmanager
def refused_in_one_line(group: str, make: Any) -> Iterator[None]:
    """Say in one line what an optimizer or a schedule, which `make` makes, objects to."""
    try:
        yield
    except Exception as error:
        maker, place = getattr(make, "func", make), own_place(error)
        if isinstance(error, DigitsError) or (place and not is_own(maker.__module__)):
            raise  # the user's own callback, which a step may call, has its traceback
        advice = {"optim": "try optim=adam", "schedule": "try schedule=cosine"}[group]
        missing = re.search(r"missing \d+ required positional arguments?: '(\w+)'", str(error))
        if missing and missing[1] != "closure":
            advice = f"try +{group}.{missing[1]}=VALUE"
        raise DigitsError(
            f"{maker.__module__}.{maker.__qualname__} cannot be used here: {first_line(error)}"
            + (f" ({place}); " if place else "; ")
            + advice
        ) from error


def constant(optimizer: Optimizer, num_steps: int) -> None:
    """Keep the optimizer's own learning rate: no scheduler at all."""


def cosine(
    optimizer: Optimizer, num_steps: int, warmup_rate: float = 0.0, final_rate: float = 0.0
) -> LRScheduler:
    """Fall from the optimizer's learning rate along half a cosine, after a linear warm-up.

    Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, without
    the restarts.
    """

    def half_cosine(progress: float) -> float:
        return (1 + math.cos(math.pi * progress)) / 2

    return _rise_and_fall(optimizer, num_steps, warmup_rate, 0.0, final_rate, half_cosine)


def linear(
    optimizer: Optimizer,
    num_steps: int,
    constant_rate: float = 0.667,
    warmup_rate: float = 0.0,
    final_rate: float = 0.0,
) -> LRScheduler:
    """Keep the optimizer's learning rate for most of the steps, then fall along a line.

    Rasmus et al., "Semi-supervised learning with ladder networks", NeurIPS 2015, who keep it for
    two thirds of their epochs. `constant_rate` is the share of the steps, in [0, 1], before the
    fall, the warm-up's included.
    """

    def line(progress: float) -> float:
        return 1 - progress

    return _rise_and_fall(optimizer, num_steps, warmup_rate, constant_rate, final_rate, line)


def _rise_and_fall(
    optimizer: Optimizer,
    num_steps: int,
    warmup_rate: float,
    constant_rate: float,
    final_rate: float,
    shape: Callable[[float], float],
) -> LRScheduler:
    warmup_steps = int(warmup_rate * num_steps)
    steps_before = max(warmup_steps, int(constant_rate * num_steps))

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        progress = max(0, step - steps_before) / max(1, num_steps - steps_before)
        return final_rate + (1 - final_rate) * shape(min(1.0, progress))

    return LambdaLR(optimizer, factor)


def onecycle(
    optimizer: Optimizer,
    num_steps: int,
    warmup_rate: float = 0.3,
    start_divisor: float = 25.0,
    end_divisor: float = 10_000.0,
    cycle_momentum: bool = True,
) -> LRScheduler:
    """Rise to the optimizer's learning rate, then fall to nothing; momentum does the opposite.

    Smith & Topin, "Super-convergence: very fast training of neural networks using large learning
    rates", 2019.

    Args:
        optimizer: its learning rate is the peak.
        num_steps: optimizer steps in all.
        warmup_rate: share of the steps, in [0, 1), in which the learning rate rises.
        start_divisor: peak divided by first learning rate, above 1.
        end_divisor: first divided by last learning rate, above 1.
        cycle_momentum: whether momentum (Adam: the first beta) goes from 0.95 to 0.85 and back, in
            place of its own value.
    """
    return _OneCycle(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=num_steps,
        pct_start=float(warmup_rate),
        div_factor=start_divisor,
        final_div_factor=end_divisor,
        cycle_momentum=cycle_momentum,
    )


class _OneCycle(OneCycleLR):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # A run that is given more epochs goes on along its new, longer cycle.
        own = {name: vars(self)[name] for name in ("total_steps", "_schedule_phases")}
        super().load_state_dict(state_dict | own)
