import math
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torch import nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    SequentialLR,
    StepLR,
)

from digits.errors import DigitsError
from digits.models.schedules import (
    constant,
    cosine,
    linear,
    make_schedule,
    onecycle,
    refused_in_one_line,
)

PEAK = 0.4
NUM_STEPS = 40


def sgd() -> SGD:
    return SGD([nn.Parameter(torch.zeros(1))], lr=PEAK, momentum=0.9)


def rates(optimizer: Optimizer, schedule: LRScheduler, num_steps: int = NUM_STEPS) -> list[float]:
    """Return the learning rate of each step."""
    found = []
    for _ in range(num_steps):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return found


def test_constant_is_no_scheduler_and_leaves_the_learning_rate() -> None:
    optimizer = sgd()
    assert constant(optimizer, NUM_STEPS) is None  # type: ignore[func-returns-value]
    assert optimizer.param_groups[0]["lr"] == PEAK


@pytest.mark.parametrize("final_rate", [0.0, 0.1])
def test_cosine_without_warmup_is_torchs_cosine_annealing(final_rate: float) -> None:
    ours, theirs = sgd(), sgd()
    expected = CosineAnnealingLR(theirs, NUM_STEPS, eta_min=final_rate * PEAK)
    found = rates(ours, cosine(ours, NUM_STEPS, final_rate=final_rate))
    assert found == pytest.approx(rates(theirs, expected))


def test_cosine_after_a_warmup_follows_its_closed_form() -> None:
    optimizer = sgd()
    found = rates(optimizer, cosine(optimizer, NUM_STEPS, warmup_rate=0.25, final_rate=0.5))
    rise = [PEAK * (step + 1) / 11 for step in range(10)]
    fall = [PEAK * (0.75 + 0.25 * math.cos(math.pi * step / 30)) for step in range(30)]
    assert found == pytest.approx(rise + fall)


def test_cosine_stays_at_the_final_rate_and_of_one_step_takes_it_at_the_peak() -> None:
    optimizer = sgd()
    found = rates(optimizer, cosine(optimizer, NUM_STEPS, final_rate=0.1), NUM_STEPS + 5)
    assert found[NUM_STEPS:] == pytest.approx([0.1 * PEAK] * 5)
    optimizer = sgd()
    assert rates(optimizer, cosine(optimizer, 1, warmup_rate=0.5), 1) == [PEAK]


@pytest.mark.parametrize("final_rate", [0.0, 0.1])
def test_linear_is_torchs_constant_and_then_linear_schedule(final_rate: float) -> None:
    ours, theirs = sgd(), sgd()
    parts: list[LRScheduler] = [
        ConstantLR(theirs, factor=1.0),
        LinearLR(theirs, 1.0, final_rate, total_iters=10),
    ]
    expected = SequentialLR(theirs, parts, milestones=[30])
    found = rates(ours, linear(ours, NUM_STEPS, 0.75, final_rate=final_rate), NUM_STEPS + 5)
    assert found == pytest.approx(rates(theirs, expected, NUM_STEPS + 5), abs=1e-9)
    assert found[30] == PEAK > found[31]


def test_a_linear_schedule_warms_up_within_its_constant_part() -> None:
    optimizer = sgd()
    found = rates(optimizer, linear(optimizer, NUM_STEPS, 0.5, warmup_rate=0.1))
    assert found[:20] == pytest.approx([PEAK * min(1, (step + 1) / 5) for step in range(20)])
    assert found[-1] == pytest.approx(PEAK / 20)


def test_onecycle_is_torchs_and_moves_momentum_the_other_way() -> None:
    ours, theirs = sgd(), sgd()
    schedule = onecycle(ours, NUM_STEPS, 0.25, start_divisor=10, end_divisor=100)
    expected = OneCycleLR(
        theirs, PEAK, total_steps=NUM_STEPS, pct_start=0.25, div_factor=10, final_div_factor=100
    )
    for _ in range(NUM_STEPS - 1):
        for name in ("lr", "momentum"):
            assert ours.param_groups[0][name] == theirs.param_groups[0][name]
        for step in (ours, theirs, schedule, expected):
            step.step()
    # The last step, from the definition: peak / start_divisor / end_divisor.
    assert ours.param_groups[0]["lr"] == pytest.approx(PEAK / 10 / 100)


@pytest.mark.parametrize(
    ("kind", "own"), [(SequentialLR, {"milestones": [8]}), (ChainedScheduler, {})]
)
def test_torchs_schedules_of_schedules_are_made_from_a_configuration(
    kind: Any, own: dict[str, Any]
) -> None:
    parts = [(LinearLR, {"total_iters": 8}), (StepLR, {"step_size": 5})]
    nodes = [
        {"_target_": f"torch.optim.lr_scheduler.{part.__name__}", "_partial_": True, **options}
        for part, options in parts
    ]
    node = {"_target_": f"torch.optim.lr_scheduler.{kind.__name__}", "schedulers": nodes, **own}
    ours, theirs = sgd(), sgd()
    made = make_schedule(instantiate(node, _partial_=True, _convert_="all"), ours, NUM_STEPS)
    expected = kind(
        optimizer=theirs, schedulers=[part(theirs, **options) for part, options in parts], **own
    )
    assert made is not None
    assert rates(ours, made) == pytest.approx(rates(theirs, expected))


@pytest.mark.parametrize(("cycle", "betas"), [(True, 0.95), (False, 0.8)])
def test_onecycle_leaves_adams_first_beta_alone_if_asked(cycle: bool, betas: float) -> None:
    optimizer = Adam([nn.Parameter(torch.zeros(1))], lr=PEAK, betas=(0.8, 0.999))
    onecycle(optimizer, NUM_STEPS, cycle_momentum=cycle)
    assert optimizer.param_groups[0]["betas"] == (betas, 0.999)


def test_an_own_schedules_error_has_its_place_and_another_ones_of_yours_its_traceback() -> None:
    def own(optimizer: Optimizer, num_steps: int) -> Any:
        raise ValueError("too few steps")

    told = r"own cannot be used here: too few steps \(test_schedules.py, line \d+\); try schedule="
    with pytest.raises(DigitsError, match=told), refused_in_one_line("schedule", own):
        make_schedule(own, sgd(), NUM_STEPS)
    with pytest.raises(ValueError, match=r"^too few steps$"), refused_in_one_line("optim", SGD):
        own(sgd(), NUM_STEPS)  # as a callback that an optimizer's step calls
