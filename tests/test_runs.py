"""Run directories: found, read, grouped and named, whatever is in their files."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_runs import LABELS, make_run, set_status

from digits.compare import compare
from digits.errors import DigitsError
from digits.runs import (
    DEFAULT_CHOICES,
    NO_EFFECT,
    Predictions,
    Run,
    find_runs,
    finished_metrics,
    group_runs,
    in_use,
    locked,
    read_choices,
    read_history,
    read_metrics,
    read_overrides,
    read_predictions,
    read_run,
    write_history,
    write_predictions,
)
from digits.sweeps.leaderboard import as_csv, as_markdown, ranked_groups, read_jobs

REPO = Path(__file__).parents[1]
IMPROVED = {"model": "dropout", "optim": "sgd", "norm": "exact"}

Made = dict[str, Any]


def test_runs_are_found_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = ["0_adam", "2_sgd", "10_adam"]
    for name in reversed(names):
        make_run(tmp_path / "sweeps" / "lr" / name)
    assert [path.name for path in find_runs([tmp_path])] == names


def test_the_same_directory_twice_is_found_once(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    (tmp_path / "link").symlink_to(run)
    assert find_runs([run, tmp_path, tmp_path / "link", run / ".." / "a"]) == [run]


def test_a_folder_without_runs_is_an_error(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    make_run(tmp_path / "b" / ".hidden" / "run")
    for folder in ("b", "c"):
        with pytest.raises(DigitsError, match=rf"{folder}.*; try a run or sweep directory"):
            find_runs([tmp_path / "a", tmp_path / folder])


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "a", seed=3, num_wrong=7, values={"optim.lr": 0.01}))
    assert run.is_finished and run.status == "finished" and run.seed == 3
    assert run.predictions.correct.sum() == len(LABELS) - 7
    assert run.options["optim.lr"] == 0.01 and run.options["dataset"] == "mnist"
    assert run.overridden == ["optim.lr", "seed"]
    assert run.choices == {"model": "baseline", "optim": "adam", "norm": "half"}
    assert [row["val/loss"] for row in run.history] == pytest.approx([0.8, 0.7])
    assert (run.val_accuracy, run.test_accuracy) == (0.9, 1 - 7 / 400)


@pytest.mark.parametrize("status", ["", "running", "failed", "stopped", "pruned"])
def test_a_run_is_finished_if_its_status_says_so(tmp_path: Path, status: str) -> None:
    path = make_run(tmp_path / "a")
    assert finished_metrics(path) == read_metrics(path)
    set_status(path, status, "why\n  it ended")
    run = read_run(path)
    assert finished_metrics(path) is None and not run.is_finished and run.val_accuracy is None
    assert (run.status, run.reason) == (status, "why it ended")


@pytest.mark.parametrize("file", ["model.pt", "metrics.json"])
def test_a_run_without_its_results_is_damaged_and_says_which(tmp_path: Path, file: str) -> None:
    path = make_run(tmp_path / "a")
    (path / file).unlink()
    run = read_run(path)
    assert finished_metrics(path) is None and not run.is_finished
    assert (run.status, run.reason) == (
        "damaged",
        f"there is no {file}; run the same command again",
    )


def scratch(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100] + b"\n\x01: [")


@pytest.mark.parametrize("file", ["status.json", ".hydra/config.yaml", ".hydra/hydra.yaml"])
def test_a_damaged_file_is_named(tmp_path: Path, file: str) -> None:
    path = make_run(tmp_path / "a")
    scratch(path / file)
    run = read_run(path)
    assert run.status == "damaged" and not run.is_finished
    assert run.reason.startswith(f"{Path(file).name} is damaged; run the same command again")


@pytest.mark.parametrize(
    ("metrics", "named"),
    [
        ({"val/accuracy": 1.5}, "val/accuracy is 1.5"),
        ({"test/accuracy": "good"}, "test/accuracy is 'good'"),
        ({"seed": True}, "seed is 'True'"),
        ({"train_time_s": float("inf")}, "train_time_s is 'inf'"),
        ({"dataset": 3}, "dataset is '3'"),
    ],
)
def test_an_impossible_number_is_damage(tmp_path: Path, metrics: Made, named: str) -> None:
    path = make_run(tmp_path / "a")
    known = json.loads((path / "metrics.json").read_text())
    (path / "metrics.json").write_text(json.dumps(known | metrics))
    with pytest.raises(DigitsError, match=r"^metrics.json is damaged: its "):
        read_metrics(path)
    assert named.partition(" ")[0] in read_run(path).reason


def test_the_configuration_is_what_was_run_and_not_what_was_refused_later(tmp_path: Path) -> None:
    refused = make_run(tmp_path / "a", values={"optim.lr": 5}, choices={"model": "dropout"})
    set_status(refused, "finished", config={"optim": {"lr": 0.001}, "trainer": {"max_epochs": 2}})
    run = read_run(refused)
    assert run.options == {"optim.lr": 0.001, "trainer.max_epochs": 2, "dataset": "mnist"}
    assert not run.choices and not run.overrides


def test_a_schedule_that_was_lengthened_is_another_training(tmp_path: Path) -> None:
    first, second = (make_run(tmp_path / name) for name in "ab")
    config = json.loads((second / "status.json").read_text())["config"]
    set_status(second, "finished", config=config, lengthened=[1, 2])
    assert len(group_runs([read_run(first), read_run(second)])) == 2


def test_choices_and_overrides_are_empty_if_they_are_not_known(tmp_path: Path) -> None:
    assert read_choices(tmp_path) == {} and read_overrides(tmp_path) == []


def test_history_and_predictions_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [{"epoch": 1, "val/loss": 0.5}, {"epoch": 2, "train/loss": 0.25, "val/loss": 1 / 3}]
    write_history(tmp_path, rows, ["epoch", "train/loss", "val/loss"])
    assert read_history(tmp_path) == rows
    confidence = np.linspace(0, 1, len(LABELS)).astype(np.float16)
    write_predictions(tmp_path, Predictions(LABELS, LABELS[::-1], confidence))
    found = read_predictions(tmp_path)
    assert np.array_equal(found.labels, LABELS) and np.array_equal(found.predicted, LABELS[::-1])
    assert np.array_equal(found.confidence, confidence)
    assert np.array_equal(found.correct, LABELS[::-1] == LABELS)


class Bomb:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.mkdir, (self.path,)


def test_predictions_are_numbers_and_no_pickles(tmp_path: Path) -> None:
    for name in ("labels", "predicted", "confidence"):
        arrays: Made = dict.fromkeys(("labels", "predicted", "confidence"), np.zeros(3, np.uint8))
        arrays[name] = np.array([Bomb(tmp_path / "exploded")] * 3, dtype=object)
        np.savez(tmp_path / "predictions.npz", **arrays)
        with pytest.raises(DigitsError, match=r"predictions\.npz is damaged"):
            read_predictions(tmp_path)
    assert not (tmp_path / "exploded").exists()


def test_a_locked_run_is_in_use_by_another_process(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from digits.runs import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout and process.stdin
        process.stdout.readline()
        assert in_use(tmp_path)
        with pytest.raises(DigitsError, match=r"in use.*wait for it, or try another name"):
            locked(tmp_path).__enter__()
        process.stdin.close()
    assert not in_use(tmp_path)


def names(folder: Path, *runs: Made) -> list[str]:
    made = [make_run(folder / str(place), **each) for place, each in enumerate(runs)]
    return [group.name for group in group_runs([read_run(path) for path in made])]


def test_runs_that_differ_in_the_seed_only_are_one_group(tmp_path: Path) -> None:
    runs = [read_run(make_run(tmp_path / str(seed), seed)) for seed in (2, 0, 1)]
    (group,) = group_runs(runs)
    assert group.seeds == (0, 1, 2)
    assert group.mean_std("train_time_s") == pytest.approx((11, 1))


@pytest.mark.parametrize("key", NO_EFFECT)
def test_options_that_change_no_result_make_no_group(tmp_path: Path, key: str) -> None:
    paths = [make_run(tmp_path / name, seed) for seed, name in enumerate("ab")]
    config = json.loads((paths[1] / "status.json").read_text())["config"]
    group, _, name = key.rpartition(".")
    (config.setdefault(group, {}) if group else config)[name] = {"other": "value"}
    set_status(paths[1], "finished", config=config)
    first, second = (read_run(path) for path in paths)
    assert first.options == second.options
    assert len(group_runs([first, second])) == 1


def test_a_class_that_another_release_has_elsewhere_is_the_same(tmp_path: Path) -> None:
    moved = {"model._target_": "digits.models.classifiers.BaselineClassifier"}
    assert len(names(tmp_path, {}, {"seed": 1, "values": moved})) == 1
    another = {"model._target_": "mine.BaselineClassifier"}
    assert len(names(tmp_path / "b", {}, {"seed": 1, "values": another})) == 2


def test_a_repeated_seed_is_in_its_group_and_can_be_left_out(tmp_path: Path) -> None:
    runs = [read_run(make_run(tmp_path / name, seed=1)) for name in "ab"]
    (group,) = group_runs(runs)
    once, repeated = group.each_seed_once()
    assert group.seeds == (1, 1)
    assert (list(once.runs), repeated) == (runs[:1], runs[1:])


@pytest.mark.parametrize(
    "other",
    [
        {"values": {"optim.lr": 0.1}},
        {"values": {"trainer.max_epochs": 5}},
        {"dataset": "mnist-sample-5k"},
        {"val_split_sha256": "other"},
        {"num_val": 49},
    ],
    ids=str,
)
def test_what_changes_a_result_makes_another_group(tmp_path: Path, other: Made) -> None:
    assert len(names(tmp_path, {}, {"seed": 1} | other)) == 2


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([{}, {"choices": IMPROVED}], ["baseline", "dropout+sgd+exact"]),
        (
            [{}, {"choices": {"model": "dropout"}}, {"choices": {"optim": "sgd"}}],
            ["baseline", "dropout", "baseline+sgd"],
        ),
        ([{}, {"choices": {"optim": "sgd"}}], ["adam", "sgd"]),
        (
            [{"choices": {"augment": "none"}}, {"choices": {"augment": "elastic"}}],
            ["augment=none", "elastic"],
        ),
        ([{"choices": IMPROVED}], ["dropout+sgd+exact"]),
        ([{}], ["baseline"]),
        ([{}, {"values": {"optim.lr": 0.01}}], ["baseline", "lr=0.01"]),
        (
            [{"values": {"optim.lr": 0.01}}, {"values": {"optim.lr": 0.1}}],
            ["lr=0.01", "lr=0.1"],
        ),
        (
            [{}, {"choices": {"model": "dropout"}, "values": {"model.hidden": [20, 10]}}],
            ["baseline", "dropout+hidden=[20,10]"],
        ),
        (
            [{"values": {"optim.rate": 1, "model.rate": 2}}, {}],
            ["model.rate=2+optim.rate=1", "baseline"],
        ),
        ([{}, {"dataset": "other"}], ["dataset=mnist", "dataset=other"]),
        ([{}, {"val_split_sha256": "other"}], ["baseline#1", "baseline#2"]),
    ],
    ids=lambda value: "" if isinstance(value[0], dict) else ",".join(value),
)
def test_a_name_says_what_differs_and_no_more(
    tmp_path: Path, runs: list[Made], expected: list[str]
) -> None:
    assert names(tmp_path, *runs) == expected


def test_the_choices_left_out_of_names_are_the_configurations_defaults() -> None:
    defaults = yaml.safe_load((REPO / "conf" / "config.yaml").read_text())["defaults"]
    chosen = {
        key: value for each in defaults if isinstance(each, dict) for key, value in each.items()
    }
    assert {group: chosen[group] for group in DEFAULT_CHOICES} == DEFAULT_CHOICES


# Whatever is in the files: a run can be compared and shown, or is refused in one line.

SCALARS: st.SearchStrategy[Any] = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6)),
    st.sampled_from([0, 1, -1, 0.5, 1e308, 10**30, "finished", "nan", "${x}", "a=b", "", "[/x]"]),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
DOCUMENTS = (
    *("metrics.json", "status.json"),
    *(".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml"),
)
FILES = (*DOCUMENTS, "metrics.csv", "predictions.npz")
FIGURES = (
    *("seed", "dataset", "epochs", "val/accuracy", "num_val", "val_split_sha256"),
    *("test/accuracy", "num_test", "num_parameters", "train_time_s"),
)


def examples(number: int) -> settings:
    """So many examples of a test, the same ones each time."""
    return settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def check(run_dir: Path) -> None:
    told = "compared"
    try:
        compare([run_dir])
    except DigitsError as error:
        told = str(error)
    assert told and "\n" not in told
    jobs = read_jobs(run_dir.parent)
    assert all(isinstance(job, Run) and "\n" not in job.reason for job in jobs)
    assert as_csv(jobs) and as_markdown("sweep", jobs)
    assert len(ranked_groups(jobs)) <= 1


def check_with(run_dir: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    path = run_dir / name
    before = path.read_bytes()
    path.write_bytes(change(before))
    try:
        check(run_dir)
    finally:
        path.write_bytes(before)


def as_bytes(name: str, content: Any) -> bytes:
    text = yaml.dump(content) if name.endswith(".yaml") else json.dumps(content)
    return text.encode("utf-8", "replace")


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return make_run(tmp_path / "sweep" / "0_run", labels=LABELS[:20], num_wrong=2)


@given(
    st.sampled_from(FILES),
    st.lists(st.tuples(st.integers(0, 999), st.integers(0, 255)), max_size=3),
    st.integers(0, 999),
)
@examples(150)
def test_flipped_and_cut_files(
    run_dir: Path, name: str, flips: list[tuple[int, int]], keep: int
) -> None:
    def damage(content: bytes) -> bytes:
        damaged = bytearray(content)
        for place, value in flips:
            damaged[place % len(damaged)] = value
        return bytes(damaged[:keep])

    check_with(run_dir, name, damage)


@given(st.sampled_from(DOCUMENTS), VALUES)
@examples(150)
def test_any_document_in_a_file(run_dir: Path, name: str, content: Any) -> None:
    check_with(run_dir, name, lambda _: as_bytes(name, content))


@given(st.sampled_from(FIGURES), VALUES)
@examples(100)
def test_any_value_of_a_metric(run_dir: Path, key: str, value: Any) -> None:
    def change(content: bytes) -> bytes:
        return as_bytes("", json.loads(content) | {key: value})

    check_with(run_dir, "metrics.json", change)


@given(st.sampled_from(["status", "reason", "config", "lengthened"]), VALUES)
@examples(100)
def test_any_value_in_the_status(run_dir: Path, key: str, value: Any) -> None:
    def change(content: bytes) -> bytes:
        return as_bytes("", json.loads(content) | {key: value})

    check_with(run_dir, "status.json", change)


@given(st.lists(st.lists(SCALARS.map(str), max_size=9), max_size=4))
@examples(80)
def test_any_table_of_epochs(run_dir: Path, cells: list[list[str]]) -> None:
    lines = ["epoch,step,train/loss,val/loss", *(",".join(row) for row in cells)]
    check_with(run_dir, "metrics.csv", lambda _: "\n".join(lines).encode("utf-8", "replace"))


@given(
    st.sampled_from(["labels", "predicted", "confidence"]),
    st.sampled_from([np.float64, np.int64, np.bool_, "U3", "M8[s]", np.uint8, np.complex64]),
    st.sampled_from([(), (0,), (3,), (20,), (20, 1), (2, 5)]),
)
@examples(80)
def test_any_arrays_of_predictions(
    run_dir: Path, name: str, dtype: Any, shape: tuple[int, ...]
) -> None:
    arrays: Made = dict.fromkeys(("labels", "predicted", "confidence"), LABELS[:20])
    arrays[name] = np.zeros(shape, dtype)
    before = (run_dir / "predictions.npz").read_bytes()
    np.savez(run_dir / "predictions.npz", **arrays)
    check(run_dir)
    (run_dir / "predictions.npz").write_bytes(before)
