"""Finished runs and ensembles, measured again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss  # type: ignore[import-untyped]
from support import SMALL, train
from torchvision.transforms.functional import InterpolationMode, affine

from digits.__main__ import main
from digits.data.datasets import load_sample
from digits.ensemble import NO_VALIDATION
from digits.errors import DigitsError
from digits.evaluate import Evaluation, compare_with_metrics, evaluate
from digits.model_file import load, model_path, read_model

TEST = load_sample("test")
KINDS = {
    "baseline": ("norm=half",),
    "dropout": ("model=dropout", "optim=sgd", "norm=exact", "model.hidden=[20]", "data.val_size=7"),
    "mixed": ("trainer.precision=bf16-mixed",),
    "bf16": ("trainer.precision=bf16-true",),
}
SAME = "accuracy and loss are those in metrics.json, to the last digit"


@pytest.fixture(scope="module", params=KINDS)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir: Path = tmp_path_factory.mktemp("runs") / request.param
    train(run_dir, *SMALL, *KINDS[request.param], "data.train_size=1280", "trainer.max_epochs=2")
    return run_dir


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Runs that differ in network, normalization and seed."""
    folder: Path = tmp_path_factory.mktemp("members")
    for name, options in {
        "half": ["data.train_size=1280"],
        "exact": ["model=dropout", "model.hidden=[20]", "norm=exact", "optim=sgd"],
        "unit": ["norm=unit", "seed=1"],
    }.items():
        train(folder / name, *SMALL, "trainer.max_epochs=1", *options)
    return sorted(folder.iterdir(), key=lambda path: "half exact unit".find(path.name))


def recorded(run_dir: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((run_dir / "metrics.json").read_text())
    return metrics


def measured(path: Path, data_dir: Path, part: str = "test") -> Evaluation:
    return evaluate(load(path), model_path(path), data_dir, part)


def evaluated(folder: Path, *arguments: Any) -> dict[str, Any]:
    """Return what `digits evaluate` writes into the folder."""
    assert main(["evaluate", *map(str, arguments), "--out", str(folder)]) == 0
    found: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    return found


@pytest.mark.parametrize("part", ["test", "val"])
@pytest.mark.parametrize("file", ["", "model.pt", "checkpoints/best.ckpt"])
def test_an_evaluation_gives_the_runs_own_results_to_the_last_digit(
    finished: Path, part: str, file: str, tmp_path: Path
) -> None:
    evaluation = measured(finished / file, tmp_path, part)
    assert evaluation.measures.accuracy == recorded(finished)[f"{part}/accuracy"]
    assert evaluation.loss == recorded(finished)[f"{part}/loss"]
    assert evaluation.measures.num_images == recorded(finished)[f"num_{part}"]
    assert compare_with_metrics(evaluation) == SAME


def test_the_verb_writes_all_that_it_promises(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(finished), "--data-dir", str(tmp_path)]) == 0
    folder = finished / "evaluation"
    pictures = {"confusion_matrix.png", "reliability.png", "mistakes.png"}
    assert {path.name for path in folder.iterdir()} == pictures | {"evaluation.json", "report.html"}
    found = json.loads((folder / "evaluation.json").read_text())
    assert found["test/accuracy"] == found["accuracy"] == recorded(finished)["test/accuracy"]
    assert len(found["mistakes"]) == round(found["num_images"] * (1 - found["accuracy"]))
    output = capsys.readouterr().out
    assert SAME in output
    assert f"{found['accuracy']:.2%}" in output
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "http://" not in page and "https://" not in page


def shifted(images: torch.Tensor) -> list[torch.Tensor]:
    """All nine shifts by up to one pixel."""
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    return [padded[..., y : y + 28, x : x + 28] for y in range(3) for x in range(3)]


def scaled(images: torch.Tensor) -> list[torch.Tensor]:
    bilinear = InterpolationMode.BILINEAR
    return [affine(images, 0, [0, 0], scale, [0, 0], bilinear) for scale in (0.95, 1, 1.05)]


@pytest.mark.parametrize(("number", "make"), [(9, shifted), (3, scaled)])
def test_views_of_each_image_are_averaged_and_labelled(
    number: int,
    make: Callable[[torch.Tensor], list[torch.Tensor]],
    members: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(members[0], run_dir)
    before = (run_dir / "metrics.json").read_bytes()
    assert main(["evaluate", str(run_dir), "--views", str(number)]) == 0
    seen = make(TEST.images)
    assert len(seen) == number
    model = load(run_dir)
    probabilities = np.mean([model(view).detach().double().softmax(1) for view in seen], axis=0)
    folder = run_dir / f"evaluation-views-{number}"
    found = json.loads((folder / "evaluation.json").read_text())
    assert found["num_views"] == number
    assert found["test/loss"] == pytest.approx(log_loss(TEST.labels, probabilities), rel=1e-4)
    assert found["test/loss"] != pytest.approx(recorded(run_dir)["test/loss"], rel=1e-3)
    expected = accuracy_score(TEST.labels, probabilities.argmax(1))
    # torchvision rounds a few pixels of a scaled image otherwise
    assert found["test/accuracy"] == pytest.approx(expected, abs=0.0011)
    output, page = capsys.readouterr().out, (folder / "report.html").read_text()
    assert f"test, {number} views" in output and "metrics.json" not in output
    assert f"{number} views of each image" in page
    assert not (run_dir / "evaluation").exists()
    assert (run_dir / "metrics.json").read_bytes() == before


def test_an_ensembles_views_are_a_report_of_their_own(
    members: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = evaluated(tmp_path / "out", *members)
    assert main(["evaluate", *map(str, members), "--views", "9", "--out", f"{tmp_path}/out"]) == 0
    found = json.loads((tmp_path / "out" / "evaluation-views-9" / "evaluation.json").read_text())
    again = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert again == plain and plain["num_views"] == 1
    answers = [load(each)(view).detach() for each in members for view in shifted(TEST.images)]
    probabilities = np.mean([each.double().softmax(1).numpy() for each in answers], axis=0)
    assert found["test/loss"] == pytest.approx(log_loss(TEST.labels, probabilities), rel=1e-5)
    with pytest.raises(SystemExit):
        main(["evaluate", str(members[0]), "--views", "5"])
    assert "argument --views: invalid choice: 5 (choose from 1, 3, 9)" in capsys.readouterr().err


def test_differences_from_metrics_json_are_reported(members: list[Path], tmp_path: Path) -> None:
    run_dir = tmp_path / "copy"
    shutil.copytree(members[0], run_dir)
    metrics = recorded(run_dir)
    rounded = {"test/loss": metrics["test/loss"] * (1 + 1e-7)}
    for change, expected in (
        ({"test/accuracy": 0.5}, "metrics.json says accuracy 50.00% and loss "),
        ({"test/accuracy": 0.5}, ": the data, the model or metrics.json is not what it was"),
        (rounded, ": other machines and releases of torch round differently"),
        ({"num_test": 250}, "describes 250 test images, not all 1,000"),  # debug=fast
        ({"test/loss": 0.5}, "and loss 0.5, not "),
        ({"test/accuracy": None}, "metrics.json has no test results"),
    ):
        (run_dir / "metrics.json").write_text(json.dumps(metrics | change))
        assert expected in compare_with_metrics(measured(run_dir, tmp_path))
    (run_dir / "metrics.json").write_text(json.dumps(metrics))
    last = measured(run_dir / "checkpoints" / "last.ckpt", tmp_path)
    assert compare_with_metrics(last) == "metrics.json describes best.ckpt, not this file"


def test_other_validation_images_are_refused(members: list[Path], tmp_path: Path) -> None:
    content = read_model(members[0])
    content["split"]["split_seed"] = 1
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(DigitsError, match="other validation images"):
        measured(tmp_path / "model.pt", tmp_path, "val")


def test_an_ensembles_results_are_those_of_the_mean_probabilities(
    members: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluated(tmp_path / "out", *members)
    probabilities = np.mean(
        [load(each)(TEST.images).detach().double().softmax(1).numpy() for each in members],
        axis=0,
    )
    accuracy = accuracy_score(TEST.labels, probabilities.argmax(1))
    assert found["test/accuracy"] == accuracy
    assert found["test/loss"] == pytest.approx(log_loss(TEST.labels, probabilities), abs=1e-5)
    output = capsys.readouterr().out
    assert f"the ensemble │   {accuracy:.2%} │" in output
    assert "metrics.json" not in output
    # In the order in which they were named: ranked by test accuracy, one would be chosen by it.
    assert [each["name"] for each in found["members"]] == ["half", "exact", "unit"]
    for each, member in zip(found["members"], members, strict=True):
        assert each["test/accuracy"] == recorded(member)["test/accuracy"]
        assert each["test/loss"] == recorded(member)["test/loss"]


def test_an_ensemble_is_written_into_one_folder_and_evaluated_from_there(
    members: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", *map(str, members)]) == 0
    folder = tmp_path / "outputs" / "ensembles" / "half+exact+unit"
    reports = {"evaluation.json", "report.html", "confusion_matrix.png", "reliability.png"}
    assert {path.name for path in folder.iterdir()} == reports | {"mistakes.png", "model.pt"}
    page = (folder / "report.html").read_text()
    for text in ("exact", "unit", "hidden=[20]", "the ensemble"):
        assert text in page
    assert main(["evaluate", *map(str, members), "--part", "val"]) == 0
    assert {path.name for path in (folder / "evaluation-val").iterdir()} >= reports
    first = json.loads((folder / "evaluation.json").read_text())
    assert first["part"] == "test"
    shutil.copy(folder / "model.pt", tmp_path / "model.pt")  # needs the members no more
    again = evaluated(tmp_path / "out", tmp_path / "model.pt")
    assert again == first | {"file": again["file"]}


def test_an_ensemble_whose_members_validated_on_different_images_is_only_tested(
    members: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = read_model(members[1])
    content["split"]["val_sha256"] = "of others"
    torch.save(content, tmp_path / "model.pt")
    evaluated(tmp_path / "out", members[0], tmp_path)
    arguments = ["evaluate", str(members[0]), str(tmp_path), "--part", "val"]
    assert main([*arguments, "--out", str(tmp_path / "val")]) == 1
    assert NO_VALIDATION in capsys.readouterr().err
    assert not (tmp_path / "val").exists()


def test_a_run_directory_is_never_written_over(
    members: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = (members[2] / "model.pt").read_bytes()
    arguments = ["evaluate", str(members[0]), str(members[1]), "--out", str(members[2])]
    assert main(arguments) == 1
    assert "holds another model, which is kept" in capsys.readouterr().err
    assert (members[2] / "model.pt").read_bytes() == before
