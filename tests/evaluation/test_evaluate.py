"""Finished runs tested again."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from support import SMALL, train

from digits.__main__ import main
from digits.errors import DigitsError
from digits.evaluation.evaluate import evaluate
from digits.recorded import read_saved
from digits.runs import read_predictions

KINDS = {
    "baseline": ("norm=half",),
    "dropout": ("model=dropout", "optim=sgd", "norm=exact", "model.hidden=[20]", "data.val_size=7"),
    "halved": ("trainer.precision=bf16-mixed",),
}


@pytest.fixture(scope="module", params=KINDS)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir: Path = tmp_path_factory.mktemp("runs") / request.param
    train(run_dir, *SMALL, *KINDS[request.param], "data.train_size=1280", "trainer.max_epochs=2")
    return run_dir


def recorded(run_dir: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((run_dir / "metrics.json").read_text())
    return metrics


@pytest.mark.parametrize("part", ["test", "val"])
@pytest.mark.parametrize("file", ["", "model.pt", "checkpoints/best.ckpt"])
def test_an_evaluation_gives_the_runs_own_figures_to_the_last_digit(
    finished: Path, part: str, file: str, tmp_path: Path
) -> None:
    evaluation = evaluate(finished / file, tmp_path, part)
    assert evaluation.accuracy == recorded(finished)[f"{part}/accuracy"]
    assert evaluation.loss == recorded(finished)[f"{part}/loss"]
    assert evaluation.measures.num_images == recorded(finished)[f"num_{part}"]


def test_the_recorded_predictions_are_the_evaluations(finished: Path, tmp_path: Path) -> None:
    predictions = read_predictions(finished)
    wrong = (predictions.labels != predictions.predicted).nonzero()[0]
    mistakes = {each.index: each for each in evaluate(finished, tmp_path).measures.mistakes}
    assert sorted(mistakes) == wrong.tolist()
    for index, mistake in mistakes.items():
        assert predictions.predicted[index] == mistake.predicted
        assert float(predictions.confidence[index]) == pytest.approx(mistake.probability, abs=1e-2)


def test_the_command_writes_all_that_it_promises(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(finished), "--data-dir", str(tmp_path)]) == 0
    folder = finished / "evaluation"
    assert {path.name for path in folder.iterdir()} == {
        "evaluation.json",
        "report.html",
        "confusion_matrix.png",
        "reliability.png",
        "mistakes.png",
    }
    found = json.loads((folder / "evaluation.json").read_text())
    assert found["test/accuracy"] == found["accuracy"] == recorded(finished)["test/accuracy"]
    assert len(found["mistakes"]) == round(found["num_images"] * (1 - found["accuracy"]))
    output = capsys.readouterr().out
    assert "the same accuracy as in metrics.json" in output
    assert f"{found['accuracy']:.2%}" in output
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "http://" not in page and "https://" not in page


def test_a_difference_to_the_record_is_told(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "metrics.json").write_text(json.dumps(recorded(finished) | {"test/accuracy": 0.5}))
    main(["evaluate", str(copy), "--data-dir", str(tmp_path), "--out", str(tmp_path / "out")])
    assert "metrics.json says 50.00%" in capsys.readouterr().out
    assert (tmp_path / "out" / "report.html").exists()


def test_other_validation_images_are_refused(finished: Path, tmp_path: Path) -> None:
    content = read_saved(finished)
    content["split"]["split_seed"] = 1
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(DigitsError, match="validated on other images"):
        evaluate(tmp_path / "model.pt", tmp_path, "val")


def test_what_is_no_run_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "no run directory" in error
    (tmp_path / "0_seed-0").mkdir()
    (tmp_path / "0_seed-0" / "model.pt").touch()
    assert main(["evaluate", str(tmp_path)]) == 1
    assert capsys.readouterr().err.endswith(f"try {tmp_path / '0_seed-0'}\n")
    assert error.count("\n") == 1
