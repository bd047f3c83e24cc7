"""k-fold cross-validation as a sweep: what is trained, grouped, ranked and compared."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import SMALL, train

from digits.compare import compare, notes, warnings
from digits.comparison_report import as_csv, group_table, run_table
from digits.data.datasets import load_sample
from digits.errors import DigitsError
from digits.groups import group_runs
from digits.run_directory import read_predictions, read_run
from digits.statistics import mcnemar
from digits.sweeps.leaderboard import ranked_groups, read_jobs, write_leaderboard
from digits.training.resume import check_resumable

FOLDS = (*SMALL, "data.folds=2", "trainer.max_epochs=1", "logger=none")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train two networks on both folds."""
    folder = tmp_path_factory.mktemp("sweep")
    for width in (16, 24):
        for fold in (0, 1):
            given = (*FOLDS, f"model.hidden=[{width}]", f"data.fold={fold}")
            train(folder / f"{width}_{fold}", *given, quiet=True)
    return folder


def test_each_training_image_is_validated_once_and_none_is_tested(sweep: Path) -> None:
    labels = load_sample("train").labels.numpy()
    both = [read_predictions(sweep / f"16_{fold}") for fold in (0, 1)]
    indices = np.concatenate([each.indices for each in both])
    assert sorted(indices) == list(range(4000))
    for fold, found in enumerate(both):
        assert (found.labels == labels[found.indices]).all()
        metrics = read_run(sweep / f"16_{fold}").metrics
        assert metrics["val/accuracy"] == found.correct.mean()
        assert metrics["test/accuracy"] is None and metrics["fold"] == fold
        assert np.bincount(found.labels).tolist() == [200] * 10  # as many of each digit


def test_folds_are_one_group_and_have_no_rank_of_their_own(sweep: Path) -> None:
    jobs = write_leaderboard(sweep)
    groups = ranked_groups(jobs)
    assert [group.size for group in groups] == ["2 folds", "2 folds"]
    table = (sweep / "leaderboard.md").read_text()
    assert "Mean ± standard deviation over folds" in table and "DIFFERENT" not in table
    for group in groups:
        found = [run.metrics["val/accuracy"] for run in group.runs]
        assert f"{np.mean(found):.2%} ± {100 * np.std(found, ddof=1):.2f}" in table
    rows = csv.DictReader((sweep / "leaderboard.csv").read_text().splitlines())
    assert [row["rank"] for row in rows] == [""] * 4


def test_the_same_folds_are_compared_image_by_image(sweep: Path) -> None:
    comparison = compare([sweep])
    assert warnings(comparison)[0].startswith("These are runs on the embedded sample")
    (versus,) = comparison.versus.values()
    correct = [
        np.concatenate([run.predictions.correct for run in group.runs])
        for group in (versus.group, versus.baseline)
    ]
    assert len(correct[0]) == 4000 and versus.found == mcnemar(*correct)
    assert ", 2 folds: " in versus.verdict
    assert group_table(comparison).rows[0][2] == "2 folds"
    assert run_table(comparison).rows[1][1] == "0, fold 1"
    assert "95% interval: Student's, of the mean over folds" in notes(comparison)
    assert any(note.startswith("p by one network a fold: ") for note in notes(comparison))
    assert not any("leak" in note for note in notes(comparison))
    assert as_csv(comparison).splitlines()[1].split(",")[2] == "0"


def test_only_folds_of_both_are_compared(sweep: Path) -> None:
    (versus,) = compare([sweep / "16_0", sweep / "16_1", sweep / "24_1"]).versus.values()
    pair = [read_run(sweep / name).predictions.correct for name in ("24_1", "16_1")]
    assert versus.found == mcnemar(*pair)
    assert "1 of 2 folds against 2 folds" in versus.verdict
    first, second = versus.note.split("; ")
    assert first == "compared on the folds that all seeds of both have: 1"
    assert second.startswith("alone right on ")
    comparison = compare([sweep / "16_0", sweep / "24_1"])
    assert not comparison.versus and [group.name for group in comparison.groups] == ["hidden=[16]"]
    assert "24_1: no fold was trained with each seed of both" in comparison.left_out[0]


def test_groups_of_other_folds_are_told(sweep: Path) -> None:
    told = warnings(compare([sweep / "16_0", sweep / "16_1", sweep / "24_1"]))
    (warning,) = [line for line in told if "the same folds" in line]
    assert warning.startswith("not every seed of every group has the same folds: ")
    assert not any("the same folds" in line for line in warnings(compare([sweep])))


def test_several_seeds_of_a_fold_count_once(sweep: Path, tmp_path: Path) -> None:
    for fold in (0, 1):
        given = (*FOLDS, "model.hidden=[16]", f"data.fold={fold}", "seed=1")
        train(tmp_path / str(fold), *given, quiet=True)
    (group,) = compare([sweep / "16_0", sweep / "16_1", tmp_path]).groups
    accuracies = {(run.fold, run.seed): run.metrics["val/accuracy"] for run in group.runs}
    means = [(accuracies[fold, 0] + accuracies[fold, 1]) / 2 for fold in (0, 1)]
    assert group.by_fold("val/accuracy") == pytest.approx(means)
    assert group.mean_std("val/accuracy")[0] == pytest.approx(np.mean(means))
    # A group whose seeds have no fold in common is compared with nothing, and shown.
    (alone,) = compare([sweep / "16_0", tmp_path / "1"]).groups
    assert alone.size == "2 seeds, 2 folds"
    comparison = compare([sweep / "16_0", tmp_path / "1", sweep / "24_0", sweep / "24_1"])
    assert comparison.baseline.name == "hidden=[24]" and len(comparison.left_out) == 2


def test_folds_of_other_draws_are_not_of_the_group(sweep: Path, tmp_path: Path) -> None:
    train(tmp_path / "a", *FOLDS, "data.fold=1", "data.split_seed=1", quiet=True)
    runs = [*read_jobs(sweep)[:2], read_run(tmp_path / "a")]
    assert [len(group.runs) for group in group_runs(runs)] == [2, 1]
    assert len({run.val_images for run in runs}) == 2


def test_a_fold_is_finished_untested_and_not_resumed_as_another(sweep: Path) -> None:
    from omegaconf import OmegaConf

    from digits.run_directory import read_status

    config: Any = OmegaConf.create(read_status(sweep / "16_0")["config"])
    check_resumable(sweep / "16_0", config)
    config.data.fold = 1
    with pytest.raises(DigitsError, match=r"with data\.fold=0, and cannot be .* data\.fold=1"):
        check_resumable(sweep / "16_0", config)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("data.fold=0",), "data.fold=0 needs data.folds; try data.folds=5"),
        (("data.folds=3",), "got no data.fold; try -m data.fold=0,1,2"),
        (("data.folds=3", "data.fold=3"), "got data.fold=3; try -m data.fold=0,1,2"),
    ],
)
def test_fold_and_folds_need_each_other(
    given: tuple[str, ...], expected: str, command_line: Callable[..., Any]
) -> None:
    ended = command_line(*given)
    assert ended.code == 1 and expected in ended.stderr and ended.stderr.count("\n") == 1
