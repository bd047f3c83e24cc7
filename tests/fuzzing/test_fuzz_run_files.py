"""Anything in the files of a run directory."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from made_up import SCALARS, VALUES, examples, or_refused

from digits.comparison.groups import group_runs
from digits.comparison.run import REQUIRED, Run, read_run
from digits.runs import read_history, read_metrics, read_overrides, read_predictions
from digits.sweeps.jobs import Job, groups, read_jobs
from digits.sweeps.leaderboard import as_csv, as_markdown

LABELS = np.arange(10, dtype=np.uint8)
METRICS: dict[str, Any] = {
    **{"seed": 0, "dataset": "mnist", "epochs": 1, "max_epochs": 1, "num_val": 5},
    **{"val/accuracy": 0.5, "test/accuracy": 1.0, "num_test": 10, "num_parameters": 3},
    **{"train_time_s": 1.5, "val_split_sha256": "a"},
}
CONFIG = {"optim": {"lr": 0.1}, "trainer": {"max_epochs": 1}}
HYDRA = {"hydra": {"runtime": {"choices": {"optim": "sgd"}}}}
TEXTS = {
    "metrics.json": json.dumps(METRICS),
    "status.json": json.dumps({"status": "finished", "reason": "", "config": CONFIG}),
    "metrics.csv": "epoch,step,train/loss\n1,10,0.5\n",
    ".hydra/config.yaml": yaml.dump(CONFIG),
    ".hydra/hydra.yaml": yaml.dump(HYDRA),
    ".hydra/overrides.yaml": "- optim.lr=0.1\n- seed=0\n",
}
FILES = [*TEXTS, "predictions.npz"]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "sweep" / "0_run"
    (folder / ".hydra").mkdir(parents=True)
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    sure = np.ones(10, np.float16)
    np.savez(folder / "predictions.npz", labels=LABELS, predicted=LABELS, confidence=sure)
    (folder / "model.pt").touch()
    return folder


def check(run_dir: Path) -> None:
    """Whatever is in the files: it can be compared and shown, or is refused."""
    run = or_refused(read_run, run_dir)
    if run is not None:
        assert isinstance(run, Run)
        (group,), _ = group_runs([run])
        assert group.train_time_s >= 0 and group.test_interval[0] >= 0
        assert group.name
    jobs = read_jobs(run_dir.parent)
    assert all(isinstance(job, Job) and "\n" not in job.reason for job in jobs)
    assert as_csv(jobs) and as_markdown("sweep", jobs)
    assert len(groups(jobs)) <= 1


def test_the_run_that_is_damaged_here_is_a_good_one(run_dir: Path) -> None:
    assert read_run(run_dir).correct.all()
    (job,) = read_jobs(run_dir.parent)
    assert (job.status, job.accuracy) == ("finished", 0.5)


@given(st.sampled_from(FILES), st.binary(max_size=60))
@examples(80)
def test_any_bytes_in_a_file(run_dir: Path, name: str, content: bytes) -> None:
    with changed(run_dir / name, lambda _: content):
        check(run_dir)


@given(
    st.sampled_from(FILES),
    st.lists(st.tuples(st.integers(0, 999), st.integers(0, 255)), max_size=3),
    st.integers(0, 999),
)
@examples(120)
def test_flipped_and_cut_files(
    run_dir: Path, name: str, flips: list[tuple[int, int]], keep: int
) -> None:
    def damage(content: bytes) -> bytes:
        damaged = bytearray(content)
        for place, value in flips:
            damaged[place % len(damaged)] = value
        return bytes(damaged[:keep])

    with changed(run_dir / name, damage):
        check(run_dir)


@given(st.sampled_from([name for name in TEXTS if name != "metrics.csv"]), VALUES)
@examples(100)
def test_any_document_in_a_file(run_dir: Path, name: str, content: Any) -> None:
    with changed(run_dir / name, lambda _: as_text(name, content)):
        check(run_dir)


@given(st.sampled_from(REQUIRED), VALUES)
@examples(80)
def test_any_value_of_a_figure(run_dir: Path, key: str, value: Any) -> None:
    with changed(run_dir / "metrics.json", lambda _: as_text("", METRICS | {key: value})):
        check(run_dir)
        or_refused(read_metrics, run_dir)


@given(st.sampled_from(["status", "reason", "config"]), VALUES)
@examples(100)
def test_any_value_in_the_status(run_dir: Path, key: str, value: Any) -> None:
    status = json.loads(TEXTS["status.json"]) | {key: value}
    with changed(run_dir / "status.json", lambda _: as_text("", status)):
        check(run_dir)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=3))
@examples(100)
def test_any_configuration(run_dir: Path, config: dict[str, Any]) -> None:
    status = json.loads(TEXTS["status.json"]) | {"config": config}
    with changed(run_dir / "status.json", lambda _: as_text("", status)):
        check(run_dir)


@given(st.lists(st.lists(SCALARS.map(str), max_size=9), max_size=4))
@examples(80)
def test_any_table_of_epochs(run_dir: Path, cells: list[list[str]]) -> None:
    header = "epoch,step,train/loss,train/accuracy,val/loss"
    lines = [header, *(",".join(row) for row in cells)]
    with changed(run_dir / "metrics.csv", lambda _: "\n".join(lines).encode("utf-8", "replace")):
        rows = or_refused(read_history, run_dir)
        assert rows is None or all("epoch" in row for row in rows)
        check(run_dir)


@given(
    st.sampled_from(["labels", "predicted", "confidence"]),
    st.sampled_from([np.float64, np.int64, np.bool_, "U3", "M8[s]", np.uint8, np.complex64]),
    st.sampled_from([(), (0,), (3,), (10,), (10, 1), (2, 5)]),
)
@examples(100)
def test_any_arrays_of_predictions(
    run_dir: Path, name: str, dtype: Any, shape: tuple[int, ...]
) -> None:
    arrays: dict[str, Any] = {"labels": LABELS, "predicted": LABELS, "confidence": LABELS / 10}
    arrays[name] = np.zeros(shape, dtype)
    path = run_dir / "predictions.npz"
    with changed(path, lambda content: content):
        np.savez(path, **arrays)
        or_refused(read_predictions, run_dir)
        check(run_dir)


@given(VALUES)
@examples(100)
def test_any_overrides(run_dir: Path, content: Any) -> None:
    path = run_dir / ".hydra" / "overrides.yaml"
    with changed(path, lambda _: as_text(".yaml", content)):
        lines = or_refused(read_overrides, run_dir)
        assert lines is None or all(isinstance(line, str) for line in lines)


def as_text(name: str, content: Any) -> bytes:
    text = yaml.dump(content) if name.endswith(".yaml") else json.dumps(content)
    return text.encode("utf-8", "replace")


class changed:  # noqa: N801
    """A file with other content for a while."""

    def __init__(self, path: Path, change: Callable[[bytes], bytes]) -> None:
        self.path, self.change = path, change

    def __enter__(self) -> None:
        self.before = self.path.read_bytes()
        self.path.write_bytes(self.change(self.before))

    def __exit__(self, *_: object) -> None:
        self.path.write_bytes(self.before)
