"""The leaderboard, from run directories made by hand."""

import csv
from pathlib import Path

import pytest
from made_runs import make_run, set_status

from digits.compare import compare
from digits.run_directory import FAILED, RUNNING
from digits.sweeps.leaderboard import ranked_groups, write_leaderboard

ACCURACIES = {
    ("baseline", 0): 0.96,
    ("baseline", 1): 0.97,
    ("dropout", 0): 0.98,
    ("dropout", 1): 0.985,
}


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    sweep = tmp_path / "grid"
    for number, ((model, seed), accuracy) in enumerate(ACCURACIES.items()):
        choices = {"model": model}
        make_run(sweep / f"{number}_job", seed, val_accuracy=accuracy, choices=choices)
    set_status(make_run(sweep / "10_job", choices={"model": "cnn"}), FAILED, "too | wide")
    set_status(make_run(sweep / "9_job", 1, choices={"model": "cnn"}), RUNNING)
    return sweep


def table(sweep: Path) -> list[dict[str, str]]:
    with (sweep / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_groups_and_their_names_are_those_of_compare(tmp_path: Path) -> None:
    for number, (lr, seed) in enumerate([("1e-3", 0), ("0.001", 1), ("0.01", 0)]):
        path = make_run(tmp_path / f"{number}", seed, values={"optim.lr": float(lr)})
        (path / ".hydra" / "overrides.yaml").write_text(f"[optim.lr={lr}, seed={seed}]")
    jobs = write_leaderboard(tmp_path)
    groups = {(group.name, group.seeds) for group in ranked_groups(jobs)}
    assert groups == {("lr=0.001", (0, 1)), ("lr=0.01", (0,))}
    assert groups == {(group.name, group.seeds) for group in compare([tmp_path]).groups}
    assert {row["optim.lr"] for row in table(tmp_path)} == {"0.001", "0.01"}


def test_a_job_that_repeats_another_one_is_listed_but_counts_once(tmp_path: Path) -> None:
    for number in range(2):
        make_run(tmp_path / str(number), seed=3)
    (group,) = ranked_groups(write_leaderboard(tmp_path))
    assert group.seeds == (3,)
    assert len(table(tmp_path)) == 2


def test_the_table_has_a_row_for_each_job_ranked_by_validation(sweep: Path) -> None:
    write_leaderboard(sweep)
    rows = table(sweep)
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "", ""]
    assert [row["run"] for row in rows[:4]] == ["3_job", "2_job", "1_job", "0_job"]
    others = [(row["run"], row["status"]) for row in rows[4:]]
    assert others == [("9_job", RUNNING), ("10_job", FAILED)]  # by their numbers
    assert float(rows[0]["val/accuracy"]) == 0.985
    assert list(rows[0]) == [
        *("rank", "model", "seed", "val/accuracy", "test/accuracy", "train_time_s"),
        *("status", "run", "reason"),
    ]


def test_failures_are_on_the_page_with_their_reason(sweep: Path) -> None:
    write_leaderboard(sweep)
    page = (sweep / "leaderboard.md").read_text()
    assert r"| 10\_job | failed | too \| wide |" in page
    assert "| 1 | dropout | 2 seeds | 98.25% ± 0.35 |" in page
    assert (sweep / "leaderboard.png").read_bytes().startswith(b"\x89PNG")


def test_a_sweep_in_which_nothing_is_finished_has_a_table_too(tmp_path: Path) -> None:
    set_status(make_run(tmp_path / "s" / "0_job"), FAILED, "no")
    write_leaderboard(tmp_path / "s")
    assert "0 of 1 jobs" in (tmp_path / "s" / "leaderboard.md").read_text()
    assert not (tmp_path / "s" / "leaderboard.png").exists()


def test_jobs_without_validation_are_finished_and_come_last(sweep: Path) -> None:
    for seed in (0, 1):
        noise = {"model": "noise"}
        make_run(sweep / f"0{seed}_job", seed, val_accuracy=None, choices=noise, num_val=0)
    jobs = write_leaderboard(sweep)
    assert [group.name for group in ranked_groups(jobs)] == ["dropout", "baseline", "noise"]
    assert [row["rank"] for row in table(sweep)] == ["1", "2", "3", "4", "", "", "", ""]
    page = (sweep / "leaderboard.md").read_text()
    assert "6 of 8 jobs that began are finished; ranked by validation accuracy." in page
    assert "|  | noise | 2 seeds | - | 90.00% ± 0.00 |" in page


def test_a_sweep_without_validation_says_that_nothing_is_ranked(tmp_path: Path) -> None:
    for seed in (0, 1):
        make_run(tmp_path / str(seed), seed, val_accuracy=None, num_val=0)
    write_leaderboard(tmp_path)
    page = (tmp_path / "leaderboard.md").read_text()
    assert "2 of 2 jobs that began are finished; not ranked: nothing was validated." in page
    assert not (tmp_path / "leaderboard.png").exists()
