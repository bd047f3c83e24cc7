"""Whole comparisons of run directories."""

import csv
import io
from pathlib import Path

import pytest
from made_runs import LABELS, make_run

from digits.comparison.compare import compare
from digits.comparison.report import notes, verdicts, warnings
from digits.comparison.tables import NOTHING, as_csv, group_table, option_table, run_table
from digits.errors import DigitsError
from digits.page import Section, as_markdown

DROPOUT = {"model": "dropout"}


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Three seeds each: by validation dropout is best, by test the baseline."""
    for seed in range(3):
        make_run(tmp_path / f"{seed}_baseline", seed, num_wrong=10, val_accuracy=0.90)
        make_run(tmp_path / f"{seed + 3}_dropout", seed, 40, 0.92, DROPOUT)
        make_run(tmp_path / f"{seed + 6}_sgd", seed, 20, 0.91, {"optim": "sgd"})
    return tmp_path


def test_groups_are_ranked_by_validation_and_held_against_the_first(sweep: Path) -> None:
    comparison = compare([sweep])
    assert [group.name for group in comparison.ranked] == ["dropout", "baseline+sgd", "baseline"]
    assert comparison.baseline.name == "baseline"
    assert set(comparison.differences) == {"dropout", "baseline+sgd"}
    assert comparison.differences["dropout"].difference == pytest.approx(-0.075)
    assert not comparison.left_out and not warnings(comparison)
    assert [line.partition(":")[0] for line in verdicts(comparison)] == [
        "dropout vs baseline",
        "baseline+sgd vs baseline",
    ]


def test_the_baseline_is_a_groups_name_or_a_run_directory(sweep: Path) -> None:
    for chosen in ("dropout", str(sweep / "4_dropout"), f"{sweep}/4_dropout/"):
        assert compare([sweep], chosen).baseline.name == "dropout"
    elsewhere = make_run(sweep / "x" / ".." / "other", values={"optim.lr": 0.5})
    comparison = compare([sweep / "0_baseline"], str(elsewhere))
    assert comparison.baseline.runs[0].path == elsewhere
    with pytest.raises(
        DigitsError, match=r"no group.*try one of: baseline, dropout, baseline\+sgd"
    ):
        compare([sweep], "dropuot")
    with pytest.raises(DigitsError, match="holds 4 groups; try one of"):
        compare([sweep], str(sweep))


def test_runs_on_other_test_images_are_left_out_loudly(sweep: Path) -> None:
    few = {"labels": LABELS[:100], "num_wrong": 3}
    sample = make_run(sweep / "00_sample", dataset="mnist-sample-5k")
    short = make_run(sweep / "9_short", **few)  # type: ignore[arg-type]
    comparison = compare([sweep])
    assert {group.name for group in comparison.groups} == {"dropout", "baseline+sgd", "baseline"}
    assert warnings(comparison) == [
        f"left out: {sample}: other test images (400 of mnist-sample-5k) than baseline "
        "(400 of mnist)",
        f"left out: {short}: other test images (100 of mnist) than baseline (400 of mnist)",
    ]


def test_where_nothing_can_be_compared_it_is_refused(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", dataset="mnist-sample-5k")
    with pytest.raises(DigitsError, match=r"nothing can be compared with .*a: .*b has other test"):
        compare([tmp_path])


def test_other_validation_images_keep_a_group_out_of_the_ranking_only(sweep: Path) -> None:
    make_run(sweep / "9", 5, val_accuracy=0.99, values={"data.split_seed": 1}, val_split_sha256="z")
    make_run(sweep / "10", 5, val_accuracy=None, values={"data.val_size": 0}, num_val=0)
    comparison = compare([sweep])
    assert [group.name for group in comparison.unranked] == [
        "baseline+split_seed=1",
        "baseline+val_size=0",
    ]
    assert [row[0] for row in group_table(comparison).rows] == ["1", "2", "3", NOTHING, NOTHING]
    assert len(comparison.differences) == 4
    assert warnings(comparison) == [
        "not ranked: baseline+split_seed=1: it was validated on other images than dropout",
        "not ranked: baseline+val_size=0: it was not validated",
    ]


def test_unfinished_runs_are_left_out_loudly(sweep: Path) -> None:
    (sweep / "1_baseline" / "metrics.json").unlink()
    comparison = compare([sweep])
    assert comparison.baseline.seeds == (0, 2)
    (line,) = warnings(comparison)
    assert line == f"left out: {sweep / '1_baseline'}: not finished (there is no metrics.json)"
    for path in sweep.glob("*/metrics.json"):
        path.unlink()
    with pytest.raises(DigitsError, match=r"no run can be compared: .* \(and 8 more\)"):
        compare([sweep])


def test_the_sample_is_never_taken_for_mnist(tmp_path: Path) -> None:
    for seed in range(2):
        make_run(tmp_path / str(seed), seed, dataset="mnist-sample-5k")
    assert "not on MNIST" in warnings(compare([tmp_path]))[-1]


def test_one_group_has_no_one_to_differ_from(tmp_path: Path) -> None:
    for seed in range(3):
        make_run(tmp_path / str(seed), seed)
    comparison = compare([tmp_path])
    assert not verdicts(comparison)
    assert "vs baseline" not in group_table(comparison).columns


def test_several_comparisons_are_corrected_and_said_to_be(sweep: Path) -> None:
    comparison = compare([sweep])
    for name, found in comparison.differences.items():
        assert found.p <= comparison.corrected[name] <= 2 * found.p
    assert "p (Holm)" in group_table(comparison).columns
    assert any("corrected for the 2 comparisons" in note for note in notes(comparison))
    two = compare([sweep / "0_baseline", sweep / "3_dropout"])
    assert "p" in group_table(two).columns


def test_the_csv_file_holds_what_the_table_shows(sweep: Path) -> None:
    comparison = compare([sweep])
    rows = list(csv.DictReader(io.StringIO(as_csv(comparison))))
    assert [row["group"] for row in rows] == ["dropout", "baseline+sgd", "baseline"]
    first = rows[0]
    assert (first["seeds"], first["rank"], first["baseline"]) == ("0 1 2", "1", "baseline")
    assert float(first["test_mean"]) == pytest.approx(0.9)
    assert float(first["difference_points"]) == pytest.approx(-7.5)
    assert float(first["p_holm"]) == pytest.approx(comparison.corrected["dropout"], rel=0.01)
    assert rows[2]["p"] == rows[2]["verdict"] == ""
    assert len(first["runs"].split()) == 3


def test_every_run_and_every_difference_is_listed(sweep: Path) -> None:
    comparison = compare([sweep])
    assert len(run_table(comparison).rows) == 9
    table = option_table(comparison)
    assert table.columns == ("group", "model", "optim")
    assert table.rows[0] == ("dropout", "dropout", "adam")


def test_markdown_takes_no_name_for_a_mark(sweep: Path) -> None:
    table = group_table(compare([sweep]))
    text = as_markdown("Title", "a|b_c", [Section("S", "[x]<y>", [table])])
    lines = text.splitlines()
    assert lines[:7] == ["# Title", "", r"a\|b\_c", "", "## S", "", r"\[x]\<y>"]
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 2 + 3
    assert len({row.count("|") for row in rows}) == 1
