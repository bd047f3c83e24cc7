"""`digits evaluate` of several runs, against figures from elsewhere."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import SMALL, train
from sklearn.metrics import accuracy_score, log_loss  # type: ignore[import-untyped]

import digits
from digits.__main__ import main
from digits.data.sample import load_sample

TEST = load_sample("test")


def evaluated(folder: Path, *options: Any) -> dict[str, Any]:
    """What `digits evaluate` writes into the folder."""
    assert main(["evaluate", *map(str, options), "--out", str(folder)]) == 0
    found: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    return found


def test_the_figures_are_those_of_the_mean_probabilities(
    members: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluated(tmp_path / "out", *members)
    probabilities = np.mean(
        [digits.load(each)(TEST.images).detach().double().softmax(1).numpy() for each in members],
        axis=0,
    )
    accuracy = accuracy_score(TEST.labels, probabilities.argmax(1))
    assert found["test/accuracy"] == accuracy
    assert found["test/loss"] == pytest.approx(log_loss(TEST.labels, probabilities), abs=1e-5)
    assert found["accuracy_95_low"] < accuracy < found["accuracy_95_high"]
    output = capsys.readouterr().out
    assert f"the ensemble │   {accuracy:.2%} │" in output
    assert "metrics.json" not in output


def test_each_member_stands_beside_it_with_the_figures_of_its_own_run(
    members: list[Path], tmp_path: Path
) -> None:
    found = evaluated(tmp_path / "out", *members)["members"]
    # In the order in which they were named: nothing is ranked by test accuracy.
    assert [each["name"] for each in found] == ["half", "exact", "unit"]
    for each, member in zip(found, members, strict=True):
        recorded = json.loads((member / "metrics.json").read_text())
        assert each["test/accuracy"] == recorded["test/accuracy"]
        assert each["test/loss"] == recorded["test/loss"]


def test_all_that_is_promised_is_written_into_one_folder(
    members: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", *map(str, members)]) == 0
    folder = tmp_path / "outputs" / "ensembles" / "half+exact+unit"
    reports = {"evaluation.json", "report.html", "confusion_matrix.png", "reliability.png"}
    assert {path.name for path in folder.iterdir()} == reports | {"mistakes.png", "model.pt"}
    page = (folder / "report.html").read_text()
    for text in ("exact", "unit", "DropoutClassifier: hidden=[20]", "the ensemble"):
        assert text in page
    assert main(["evaluate", *map(str, members), "--part", "val"]) == 0
    assert {path.name for path in (folder / "evaluation-val").iterdir()} >= reports
    assert json.loads((folder / "evaluation.json").read_text())["part"] == "test"


def test_the_ensembles_file_is_evaluated_as_any_other(
    members: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = evaluated(tmp_path / "out", *members)
    for part in ("test", "val"):
        again = evaluated(tmp_path / part, tmp_path / "out" / "model.pt", "--part", part)
        assert len(again["members"]) == 3
        if part == "test":
            assert again == first | {"file": again["file"]}
    # The members themselves are no longer needed.
    shutil.copy(tmp_path / "out" / "model.pt", tmp_path / "model.pt")
    assert main(["evaluate", str(tmp_path / "model.pt")]) == 0
    assert (tmp_path / "evaluation" / "report.html").exists()


def test_members_of_one_precision_are_averaged_as_they_were_tested(tmp_path: Path) -> None:
    for seed in (0, 1):
        options = ("trainer.max_epochs=1", f"seed={seed}", "trainer.precision=bf16-true")
        train(tmp_path / f"{seed}", *SMALL, *options)
    found = evaluated(tmp_path / "out", tmp_path / "0", tmp_path / "1")
    for each, name in zip(found["members"], "01", strict=True):
        recorded = json.loads((tmp_path / name / "metrics.json").read_text())
        assert each["test/accuracy"] == recorded["test/accuracy"]
    assert torch.load(tmp_path / "out" / "model.pt")["precision"] == "bf16-true"
    assert math.isfinite(found["test/loss"])


def test_other_validation_images_are_told_in_one_line(
    members: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    train(other, *SMALL, "trainer.max_epochs=1", "data.split_seed=1")
    evaluated(tmp_path / "out", members[0], other)
    told = "the members kept different images apart for validation"
    assert capsys.readouterr().out.count(told) == 1
    assert told in (tmp_path / "out" / "report.html").read_text()
    arguments = ["evaluate", str(members[0]), str(other), "--part", "val"]
    assert main([*arguments, "--out", str(tmp_path / "val")]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "val").exists()


def test_a_run_directory_is_never_written_over(
    members: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (members[2] / "model.pt").read_bytes()
    arguments = ["evaluate", str(members[0]), str(members[1]), "--out", str(members[2])]
    assert main(arguments) == 1
    assert "holds another model, which stays" in capsys.readouterr().err
    assert (members[2] / "model.pt").read_bytes() == before
