"""What is said of a difference."""

from pathlib import Path

import pytest
from made_runs import make_run

from digits.comparison.difference import difference, p_text, verdict
from digits.comparison.groups import group_runs
from digits.comparison.run import read_run
from digits.statistics import holm, mcnemar


def test_holms_correction_on_a_published_case() -> None:
    # Holm 1979 as in R's documentation of p.adjust: multiplied by 4, 3, 2, 1, and never falling.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (0.00005, "< 0.001"),
        (0.0021, "= 0.002"),
        (0.0499, "= 0.050"),
        (0.88, "= 0.88"),
        (1, "= 1.00"),
    ],
)
def test_p_is_never_nothing(p: float, expected: str) -> None:
    assert p_text(p, "= ") == expected


def test_two_runs_are_compared_image_by_image(tmp_path: Path) -> None:
    runs = [
        read_run(make_run(tmp_path / "a", num_wrong=40)),
        read_run(make_run(tmp_path / "b", num_wrong=20, values={"optim.lr": 0.1})),
    ]
    ((first, second), _) = group_runs(runs)
    found = difference(second, first)
    assert found.p == mcnemar(runs[1].correct, runs[0].correct).p
    assert found.difference == pytest.approx(0.05)
    assert verdict(found, 0.004) == (
        f"lr=0.1 vs baseline: +5.00 ± {100 * found.error:.2f} points, p = 0.004, 1 seed: better "
        f"(95% interval +{100 * found.interval[0]:.2f} to +{100 * found.interval[1]:.2f})"
    )
    assert ": worse (" in verdict(difference(first, second), 0.004)
    assert ": no difference that these runs could show" in verdict(found, 0.05)
    assert any("other seeds may say otherwise" in note for note in found.notes)


@pytest.mark.parametrize(
    ("seeds", "others", "told", "test"),
    [
        ((0, 1, 2), (0, 1, 2), "3 seeds", "bootstrap, seed by seed"),
        ((0, 1, 2), (0, 1, 3), "3 seeds", "bootstrap"),
        ((0, 1, 2), (0, 1), "3 seeds against 2", "bootstrap"),
        ((0,), (0, 1), "1 seed against 2", "bootstrap"),
    ],
)
def test_groups_with_the_same_seeds_are_paired(
    tmp_path: Path, seeds: tuple[int, ...], others: tuple[int, ...], told: str, test: str
) -> None:
    runs = [make_run(tmp_path / f"a{seed}", seed=seed) for seed in seeds]
    runs += [make_run(tmp_path / f"b{seed}", seed, values={"optim.lr": 0.1}) for seed in others]
    ((first, second), _) = group_runs([read_run(path) for path in runs])
    found = difference(first, second)
    assert (found.seeds, found.test) == (told, test)
    notes = " ".join(found.notes)
    assert ("not the same in both groups" in notes) == (others == (0, 1, 3))
    assert ("two seeds hardly tell" in notes) == (told == "3 seeds against 2")
    assert ("has one seed" in notes) == (len(seeds) == 1)
