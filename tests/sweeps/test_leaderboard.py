"""The leaderboard, from run directories made by hand."""

import csv
import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from digits.runs import FAILED, FINISHED, RUNNING
from digits.sweeps.jobs import groups, read_jobs, varied
from digits.sweeps.leaderboard import write_leaderboard

ACCURACIES = {
    ("baseline", 0): 0.96,
    ("baseline", 1): 0.97,
    ("dropout", 0): 0.98,
    ("dropout", 1): 0.985,
}


def add_job(sweep: Path, number: int, options: dict[str, Any], **content: Any) -> None:
    folder = sweep / f"{number}_job"
    (folder / ".hydra").mkdir(parents=True)
    lines = [f"{key}={value}" for key, value in options.items()]
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {line}\n" for line in lines))
    status = {"status": content.get("status", FINISHED), "reason": content.get("reason", "")}
    (folder / "status.json").write_text(json.dumps(status))
    if status["status"] == FINISHED:
        metrics = {"train_time_s": 2.0, "test/accuracy": content["val"] - 0.01}
        (folder / "metrics.json").write_text(json.dumps(metrics | {"val/accuracy": content["val"]}))
        (folder / "model.pt").touch()


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    sweep = tmp_path / "grid"
    for number, ((model, seed), accuracy) in enumerate(ACCURACIES.items()):
        add_job(sweep, number, {"model": model, "seed": seed, "name": "grid"}, val=accuracy)
    add_job(sweep, 10, {"model": "wide", "seed": 0}, status=FAILED, reason="too | wide")
    add_job(sweep, 9, {"model": "wide", "seed": 1}, status=RUNNING)
    return sweep


def test_jobs_are_read_in_the_order_of_their_numbers(sweep: Path) -> None:
    assert [job.path.name for job in read_jobs(sweep)][-2:] == ["9_job", "10_job"]


def test_only_what_differs_was_varied(sweep: Path) -> None:
    assert varied(read_jobs(sweep)) == ["model", "seed"]


def test_groups_are_means_and_sample_deviations_over_seeds(sweep: Path) -> None:
    first, second = groups(read_jobs(sweep))
    assert (first.name, second.name) == ("dropout", "baseline")
    assert first.mean_std("val/accuracy") == pytest.approx(
        (statistics.fmean([0.98, 0.985]), statistics.stdev([0.98, 0.985]))
    )


def test_a_sweep_of_seeds_alone_is_called_by_its_name(tmp_path: Path) -> None:
    for seed in (0, 1):
        add_job(tmp_path / "five", seed, {"model": "wide", "seed": seed}, val=0.98)
    write_leaderboard(tmp_path / "five")
    assert "| 1 | five | 2 |" in (tmp_path / "five" / "leaderboard.md").read_text()


def test_none_and_false_are_called_with_their_key(tmp_path: Path) -> None:
    for number, (augment, test) in enumerate([("none", "false"), ("elastic", "true")]):
        options = {"augment": augment, "test": test, "model.max_norm": number}
        add_job(tmp_path / "s", number, options, val=0.98)
    assert {group.name for group in groups(read_jobs(tmp_path / "s"))} == {
        "augment none, test false, max_norm 0",
        "elastic, test true, max_norm 1",
    }


def test_the_table_has_a_row_for_each_job_ranked_by_validation(sweep: Path) -> None:
    write_leaderboard(sweep)
    with (sweep / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "", ""]
    assert [row["run"] for row in rows[:4]] == ["3_job", "2_job", "1_job", "0_job"]
    assert {row["run"]: row["status"] for row in rows[4:]} == {"9_job": RUNNING, "10_job": FAILED}
    assert float(rows[0]["val/accuracy"]) == 0.985
    assert {"model", "seed", "test/accuracy"} <= rows[0].keys() and "name" not in rows[0]


def test_failures_stand_in_the_page_with_their_reason(sweep: Path) -> None:
    write_leaderboard(sweep)
    page = (sweep / "leaderboard.md").read_text()
    assert "| 10_job | failed | too \\| wide |" in page
    assert "98.25% ± 0.35" in page
    assert (sweep / "leaderboard.png").read_bytes().startswith(b"\x89PNG")


def test_a_sweep_in_which_nothing_is_finished_has_a_table_too(tmp_path: Path) -> None:
    add_job(tmp_path / "s", 0, {"model": "wide"}, status=FAILED, reason="no")
    write_leaderboard(tmp_path / "s")
    assert "0 of 1 jobs" in (tmp_path / "s" / "leaderboard.md").read_text()
    assert not (tmp_path / "s" / "leaderboard.png").exists()
