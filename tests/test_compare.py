"""Whole comparisons of run directories."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import LABELS, make_run, set_status
from support import events

from digits.__main__ import main
from digits.compare import compare, notes, warnings
from digits.comparison_report import (
    NOTHING,
    as_csv,
    group_table,
    learning_curves,
    option_table,
    run_table,
)
from digits.errors import DigitsError
from digits.run_directory import read_run
from digits.statistics import CLUSTERED, MCNEMAR, clustered_difference, mcnemar

DROPOUT = {"model": "dropout"}
LR = {"optim.lr": 0.1}


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
    assert [group.name for group in comparison.ranked] == ["dropout", "sgd", "baseline"]
    assert comparison.baseline.name == "baseline"
    assert list(comparison.versus) == ["dropout", "sgd"]
    assert comparison.versus["dropout"].found.difference == pytest.approx(-0.075)
    assert not comparison.left_out and not warnings(comparison)


def test_the_baseline_is_a_groups_name_or_a_run_directory(sweep: Path) -> None:
    for chosen in ("dropout", str(sweep / "4_dropout")):
        assert compare([sweep], chosen).baseline.name == "dropout"
    elsewhere = make_run(sweep / "other", values={"optim.lr": 0.5})
    comparison = compare([sweep / "0_baseline"], str(elsewhere))
    assert comparison.baseline.runs[0].dir == elsewhere
    with pytest.raises(DigitsError, match=r"is not a group.*try one of: baseline, dropout, sgd"):
        compare([sweep], "dropuot")


def test_two_single_runs_are_compared_by_mcnemars_test(tmp_path: Path) -> None:
    paths = [make_run(tmp_path / "a"), make_run(tmp_path / "b", num_wrong=20, values=LR)]
    comparison = compare(paths)
    (versus,) = comparison.versus.values()
    first, second = (read_run(path).predictions.correct for path in paths)
    assert versus.found == mcnemar(second, first)
    assert (versus.found.test, versus.p_holm) == (MCNEMAR, versus.found.p)
    low, high = (100 * bound for bound in versus.found.interval)
    assert versus.verdict == (
        f"lr=0.1 vs baseline: +5.00 ± {100 * versus.found.error:.2f} points, p = 0.010, 1 seed: "
        f"better (95% interval +{low:.2f} to +{high:.2f})"
    )
    assert notes(comparison) == [
        "ranked by validation accuracy, since choosing by the test leaks it",
        "95% interval of a single run: Wilson's, over its images",
        "vs baseline: percentage points ± standard error",
        "p by one network each: McNemar's exact test; other seeds may say otherwise",
        f"lr=0.1: alone right on {(second & ~first).sum()} images, "
        f"baseline on {(first & ~second).sum()}",
    ]


@pytest.mark.parametrize(
    ("seeds", "others", "told", "note"),
    [
        ((0, 1, 2), (0, 1, 2), "3 seeds: ", None),
        ((0, 1, 2), (0, 1), "3 seeds against 2 seeds: ", "two seeds say little"),
        ((0,), (0, 1), "1 seed against 2 seeds: ", "baseline has one seed"),
    ],
)
def test_groups_are_compared_over_seeds_and_images(
    tmp_path: Path, seeds: tuple[int, ...], others: tuple[int, ...], told: str, note: str | None
) -> None:
    first = [make_run(tmp_path / f"a{seed}", seed=seed) for seed in seeds]
    second = [make_run(tmp_path / f"b{seed}", seed, values=LR) for seed in others]
    (versus,) = compare([*second, *first]).versus.values()
    correct = [
        np.stack([read_run(path).predictions.correct for path in paths])
        for paths in (first, second)
    ]
    assert versus.found.test == CLUSTERED
    assert versus.found == clustered_difference(correct[0], correct[1])
    assert told in versus.verdict and "p = " in versus.verdict
    assert note in versus.note if note else not versus.note


def test_a_difference_is_significant_after_holms_correction_only(sweep: Path) -> None:
    comparison = compare([sweep])
    for versus in comparison.versus.values():
        assert versus.found.p <= versus.p_holm <= 2 * versus.found.p
        judged = "worse" if versus.p_holm < 0.05 else "no significant difference"
        assert versus.judgement == judged and f": {judged} (uncorrected 95%" in versus.verdict
    assert "p (Holm)" in group_table(comparison).columns
    two = compare([sweep / "0_baseline", sweep / "3_dropout"])
    assert "p" in group_table(two).columns


def test_runs_on_other_test_images_are_left_out_loudly(sweep: Path) -> None:
    sample = make_run(sweep / "00_sample", dataset="mnist-sample-5k")
    short = make_run(sweep / "9_short", labels=LABELS[:100], num_wrong=3)
    comparison = compare([sweep])
    assert {group.name for group in comparison.groups} == {"dropout", "sgd", "baseline"}
    other = "evaluated on other images"
    assert warnings(comparison) == [
        f"left out: {sample}: {other} (400 test images of mnist-sample-5k) than baseline",
        f"left out: {short}: {other} (100 test images of mnist) than baseline",
    ]


def test_untested_runs_are_compared_on_their_validation_images(tmp_path: Path) -> None:
    untested: dict[str, Any] = {"test/accuracy": None, "num_test": 0}
    for seed in range(3):
        make_run(tmp_path / "a" / str(seed), seed, 10, val_accuracy=0.90 + seed / 100, **untested)
        make_run(tmp_path / "b" / str(seed), seed, 60, 0.85, DROPOUT, **untested)
        make_run(
            tmp_path / "c" / str(seed), seed, 20, 0.99, values=LR, val_split_sha256="z", **untested
        )
    comparison = compare([tmp_path])
    assert [group.name for group in comparison.groups] == ["baseline", "dropout"]
    assert comparison.images == "50 validation images of mnist"
    assert comparison.versus["dropout"].found.difference == pytest.approx(-0.125)
    assert len(comparison.left_out) == 3
    assert "validated on other images than baseline" in comparison.left_out[0]
    assert "not tested: compared on the validation images" in " ".join(notes(comparison))
    first, second = group_table(comparison).rows
    assert (first[4], first[5]) == ("-", "88.52 to 93.48%")
    assert second[5] == "85.00 to 85.00%"
    learning = make_run(
        tmp_path / "a" / "few", 0, 90, 0.7, values={"data.train_size": 9}, num_train=9, **untested
    )
    for path in (tmp_path / "a").glob("?/metrics.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"num_train": 90}))
    curve = learning_curves(compare([learning.parent]))["baseline"]
    assert curve[9] == [0.7] and len(curve[90]) == 3

    tested = make_run(tmp_path / "d" / "0")  # what was tested comes first
    comparison = compare([tmp_path])
    assert comparison.groups[0].runs[0].dir == tested
    advice = f"not tested; to compare untested runs: --baseline {tmp_path / 'b' / '0'}"
    assert any(line.endswith(advice) for line in comparison.left_out)
    chosen = compare([tmp_path], baseline=str(tmp_path / "b" / "0"))
    assert chosen.baseline.name == "dropout" and "50 validation images" in chosen.images


def test_other_validation_images_keep_a_group_out_of_the_ranking_only(sweep: Path) -> None:
    make_run(sweep / "9", 5, val_accuracy=0.99, values={"data.split_seed": 1}, val_split_sha256="z")
    make_run(sweep / "10", 5, val_accuracy=None, values={"data.val_size": 0}, num_val=0)
    comparison = compare([sweep])
    assert [group.name for group in comparison.unranked] == [
        "split_seed=1",
        "val_size=0",
    ]
    assert [row[0] for row in group_table(comparison).rows] == ["1", "2", "3", NOTHING, NOTHING]
    assert len(comparison.versus) == 4
    assert warnings(comparison) == [
        "not ranked: split_seed=1: validated on other images",
        "not ranked: val_size=0: validated on no images",
    ]


def test_a_baseline_without_validation_leaves_the_others_ranked(sweep: Path) -> None:
    final = make_run(sweep / "00", 5, val_accuracy=None, values={"data.val_size": 0}, num_val=0)
    comparison = compare([sweep], baseline=str(final))
    assert [row[0] for row in group_table(comparison).rows] == ["1", "2", "3", NOTHING]
    assert comparison.groups[-1] is comparison.baseline
    assert len(comparison.versus) == 3
    *_, last = csv.DictReader(as_csv(comparison).splitlines())
    assert last["rank"] == last["val_mean"] == last["val_std"] == ""


def test_the_same_seed_a_second_time_is_no_further_evidence(sweep: Path) -> None:
    again = make_run(sweep / "9_again", seed=1)
    comparison = compare([sweep])
    assert comparison.baseline.seeds == (0, 1, 2)
    assert warnings(comparison) == [f"left out: {again}: repeats a seed of baseline"]
    assert compare([sweep], str(again)).baseline.name == "baseline"


def test_an_option_that_a_sweep_sets_to_null_is_in_the_groups_name(tmp_path: Path) -> None:
    for place, size in enumerate((100, None)):
        path = tmp_path / "sizes" / str(place)
        make_run(path, values={"data.train_size": size}, num_train=size or 350)
    comparison = compare([tmp_path / "sizes"])
    assert {group.name for group in comparison.groups} == {"train_size=100", "train_size=null"}
    assert set(learning_curves(comparison)) == {"baseline"}
    for epsilon in (0.0, 2.0):  # a default goes without saying
        make_run(tmp_path / "vat" / str(epsilon), values={"model.vat_epsilon": epsilon})
    names = {group.name for group in compare([tmp_path / "vat"]).groups}
    assert names == {"baseline", "vat_epsilon=2.0"}


def test_unfinished_runs_are_left_out_loudly(sweep: Path) -> None:
    set_status(sweep / "1_baseline", "failed", "the loss diverged")
    set_status(sweep / "2_baseline", "running")
    comparison = compare([sweep])
    assert comparison.baseline.seeds == (0,)
    assert warnings(comparison) == [
        f"left out: {sweep / '1_baseline'}: not finished (failed: the loss diverged)",
        f"left out: {sweep / '2_baseline'}: not finished (running)",
    ]
    for path in sweep.glob("*/metrics.json"):
        path.unlink()
    with pytest.raises(DigitsError, match=r"no run can be compared: .* \(and 8 more\)"):
        compare([sweep])


def test_what_a_comparison_needs_and_a_run_lacks_is_named(sweep: Path) -> None:
    (sweep / "1_baseline" / "metrics.csv").write_text("epoch\nsoon\n")
    (sweep / "3_dropout" / "predictions.npz").unlink()
    untested: dict[str, Any] = {"test/accuracy": None}
    make_run(sweep / "9", val_accuracy=None, **untested)
    make_run(sweep / "11", **untested).joinpath("predictions.npz").unlink()
    make_run(sweep / "10", num_parameters=[]).joinpath("metrics.json").write_text('{"seed": 1}')
    assert [line.rpartition("/")[2] for line in warnings(compare([sweep]))] == [
        "1_baseline: metrics.csv is damaged",
        "3_dropout: predictions.npz is missing",
        "9: neither validated nor tested; run its command again without test=false",
        "10: metrics.json does not say dataset; train it again",
        "11: not tested, and predictions.npz is missing; run its command again without test=false",
    ]


def test_a_learning_curve_is_drawn_where_only_the_training_size_differs(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not learning_curves(compare([sweep]))
    for size in (100, 1000):
        for seed in (0, 1):
            values = {"data.train_size": size}
            make_run(sweep / f"small{size}-{seed}", seed, 80, 0.8, DROPOUT, values, num_train=size)
    for path in sweep.glob("*_*/metrics.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"num_train": 55_000}))
    assert learning_curves(compare([sweep])) == {
        "dropout": {55_000: [0.9, 0.9, 0.9], 100: [0.8, 0.8], 1000: [0.8, 0.8]}
    }
    out = tmp_path / "report"
    for folder, drawn in ((sweep, True), (sweep / "0_baseline", False)):
        assert main(["compare", str(folder), "--out", str(out)]) == 0
        assert (out / "learning_curve.png").exists() is drawn
        assert ("](learning_curve.png)" in (out / "comparison.md").read_text()) is drawn


def test_tensorboard_gets_one_mean_run_a_group(sweep: Path, tmp_path: Path) -> None:
    for _ in range(2):  # the second replaces the first
        arguments = [str(sweep), "--out", str(tmp_path / "out"), "--tensorboard"]
        assert main(["compare", *arguments]) == 0
    folder = tmp_path / "out" / "tensorboard"
    assert sorted(each.name for each in folder.iterdir()) == ["baseline", "dropout", "sgd"]
    assert len(list(folder.glob("*/*"))) == 3
    found = events(folder / "dropout").Scalars("val/loss")
    assert [event.step for event in found] == [9, 19]
    assert [event.value for event in found] == pytest.approx([0.6, 0.5])  # of 0.5, 0.6 and 0.7


def test_what_groups_were_made_with_is_told_in_one_line_where_it_differs(tmp_path: Path) -> None:
    old = {"git": {"commit": "a" * 40, "clean": True}, "versions": {"torch": "2.13.0"}}
    new = {"git": {"commit": "a" * 40, "clean": False}, "versions": {"torch": "2.14.0"}}
    make_run(tmp_path / "0", made_with=old)
    make_run(tmp_path / "1", values=LR, made_with=new)
    make_run(tmp_path / "2", values={"optim.lr": 0.2})  # it is not known of this one
    assert warnings(compare([tmp_path])) == [
        "not all groups were made with the same git.clean (false, true), versions.torch (2.13.0, "
        "2.14.0); see their status.json"
    ]
    make_run(tmp_path / "3", seed=1, made_with=new)
    make_run(tmp_path / "4", seed=1, values=LR, made_with=old)
    assert not warnings(compare([tmp_path]))  # both groups were made with either


def test_one_group_has_no_verdicts_and_the_sample_is_not_mnist(tmp_path: Path) -> None:
    for seed in range(3):
        make_run(tmp_path / str(seed), seed, dataset="mnist-sample-5k")
    comparison = compare([tmp_path])
    assert not comparison.versus
    ((_, name, seeds, *_, difference, p, _),) = group_table(comparison).rows
    assert (name, seeds, difference, p) == ("baseline", "3 seeds", NOTHING, NOTHING)
    assert "not MNIST" in warnings(comparison)[0]


def test_the_csv_file_and_the_tables_hold_every_group_run_and_difference(sweep: Path) -> None:
    comparison = compare([sweep])
    first, _, last = csv.DictReader(io.StringIO(as_csv(comparison)))
    assert (first["group"], last["group"]) == ("dropout", "baseline")
    assert (first["seeds"], first["rank"], first["baseline"]) == ("0 1 2", "1", "baseline")
    assert float(first["test_mean"]) == pytest.approx(0.9)
    assert float(first["difference_points"]) == pytest.approx(-7.5)
    versus = comparison.versus["dropout"]
    assert float(first["p_holm"]) == pytest.approx(versus.p_holm, rel=0.01)
    assert first["verdict"] == versus.judgement
    assert last["p"] == last["verdict"] == ""
    assert len(first["runs"].split()) == 3
    assert len(run_table(comparison).rows) == 9
    table = option_table(comparison)
    assert table.columns == ("group", "model", "optim")
    assert table.rows[0] == ("dropout", "dropout", "adam")


def test_the_command_writes_all_that_it_promises(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(sweep / "9", dataset="mnist-sample-5k")
    out = tmp_path / "new" / "folder"
    assert main(["compare", str(sweep), "--out", str(out)]) == 0
    screen = capsys.readouterr().out
    files = {"comparison.md", "comparison.csv", "comparison.html", "loss_curves.png"}
    assert {path.name for path in out.iterdir()} == files
    page, text = (out / "comparison.html").read_text(), (out / "comparison.md").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert "http://" not in page and "https://" not in page
    assert "](loss_curves.png)" in text
    for shown in (screen, page, text):
        assert "dropout vs baseline: " in shown and "left out: " in shown
    assert (out / "loss_curves.png").read_bytes().startswith(b"\x89PNG")
