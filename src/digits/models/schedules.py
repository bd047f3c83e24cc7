"""Learning rate schedules: scheduler makers that take an optimizer and its number of steps."""

import inspect
import math
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from digits.errors import DigitsError


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


def constant(optimizer: Optimizer, num_steps: int) -> None:
    """Keep the optimizer's own learning rate: no scheduler at all."""


def cosine(
    optimizer: Optimizer, num_steps: int, warmup_rate: float = 0.0, final_rate: float = 0.0
) -> LRScheduler:
    """Fall from the optimizer's learning rate along half a cosine, after a linear warm-up.

    Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, without
    the restarts.

    Args:
        optimizer: its learning rate is the peak.
        num_steps: optimizer steps in all.
        warmup_rate: share of the steps, in [0, 1), in which the learning rate rises linearly to its
            peak.
        final_rate: share of the peak, in [0, 1], that is reached at the end.
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
    two thirds of their epochs.

    Args:
        optimizer: its learning rate is the peak.
        num_steps: optimizer steps in all.
        constant_rate: share of the steps, in [0, 1], before the fall, the warm-up's included.
        warmup_rate: share of the steps, in [0, 1), in which the learning rate rises linearly to its
            peak.
        final_rate: share of the peak, in [0, 1], that is reached at the end.
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
    if warmup_rate * num_steps == 1:  # by which torch would divide by a phase of length 0
        warmup_rate = math.nextafter(warmup_rate, 0)
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
        if state_dict["total_steps"] != self.total_steps:
            raise DigitsError(
                f"schedule=onecycle was planned for {state_dict['total_steps']} steps and cannot "
                f"be resumed with {self.total_steps}; give the longer run another name=RUN"
            )
        super().load_state_dict(state_dict)
