import pytest
import torch

from digits.randomness import device_generator, draw_seed


def splitmix64(state: int) -> int:
    """Return one output of the published generator, on Python's integers of any size."""
    state = (state + 0x9E3779B97F4A7C15) % 2**64
    state = (state ^ state // 2**30) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ state // 2**27) * 0x94D049BB133111EB % 2**64
    return state ^ state // 2**31


def test_one_coordinate_is_mixed_by_the_published_splitmix64() -> None:
    # The first output for seed 1234567, as its authors' C program prints it.
    assert splitmix64(1234567) == 6457827717110365317
    assert draw_seed(1234567) == 6457827717110365317 % 2**32


@pytest.mark.parametrize(
    ("coordinates", "expected"),
    [
        ((0, 1), 2939677055),
        ((1, 0), 1949917470),
        ((7, 4321, 2, 1), 3030095541),
    ],
)
def test_seeds_have_not_changed_since_runs_were_published(
    coordinates: tuple[int, ...], expected: int
) -> None:
    assert draw_seed(*coordinates) == expected


def test_the_draws_of_different_steps_are_unrelated() -> None:
    generator = torch.Generator()
    draws = torch.stack(
        [
            torch.rand(1_000, generator=generator.manual_seed(draw_seed(0, step, 0, 0)))
            for step in range(30)
        ]
    )
    correlations = torch.corrcoef(draws) - torch.eye(30)
    # Of 435 correlations of unrelated draws of 1,000 numbers, each with a standard deviation of
    # 0.0316, none is beyond five of those but once in 4,000 such tests.
    assert correlations.abs().max() < 5 * 1_000**-0.5


def test_layers_on_the_cpu_draw_from_the_generator_that_is_seeded() -> None:
    device_generator(torch.device("cpu")).manual_seed(5)
    found = torch.nn.functional.dropout(torch.ones(100), 0.5)
    torch.manual_seed(5)
    assert found.equal(torch.nn.functional.dropout(torch.ones(100), 0.5))
