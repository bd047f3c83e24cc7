"""`digits compare` on runs that were really trained."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import SMALL, train_py

from digits.__main__ import main
from digits.comparison.run import read_run
from digits.runs import read_history, read_predictions


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("here")
    varied = ("model=baseline,dropout", "seed=0,1", "trainer.max_epochs=2", "logger=none")
    result = train_py("-m", *SMALL[1:], *varied, "name=small", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder / "outputs" / "sweeps" / "small"


def test_a_run_is_read_as_the_training_reads_it(sweep: Path) -> None:
    (path,) = sweep.glob("*dropout_*seed-1*")
    run, predictions = read_run(path), read_predictions(path)
    assert run.history == read_history(path)
    assert np.array_equal(run.labels, predictions.labels)
    assert np.array_equal(run.correct, predictions.labels == predictions.predicted)
    assert run.correct.mean() == pytest.approx(run.metrics["test/accuracy"])


def test_the_command_writes_all_that_it_promises(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "folder"
    assert main(["compare", str(sweep), "--out", str(out)]) == 0
    screen = capsys.readouterr().out
    names = ("comparison.md", "comparison.csv", "comparison.html", "loss_curves.png")
    assert {path.name for path in out.iterdir()} == set(names)
    with (out / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["group"] for row in rows} == {"baseline", "dropout"}
    assert all(row["seeds"] == "0 1" for row in rows)
    page, text = (out / "comparison.html").read_text(), (out / "comparison.md").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert "http://" not in page and "https://" not in page
    assert "![Loss by epoch](loss_curves.png)" in text
    for shown in (screen, page, text):
        assert "dropout vs baseline: " in shown
        assert "two seeds hardly tell" in shown
        assert "not on MNIST" in shown
    assert (out / "loss_curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_test_images_have_no_say_in_the_order(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    _, _, options = capsys.readouterr().out.partition("options:")
    assert set(re.findall("--[a-z-]+", options)) == {"--help", "--baseline", "--out"}
    assert main(["compare", str(sweep), "--out", str(tmp_path)]) == 0
    with (tmp_path / "comparison.csv").open() as file:
        validated = [float(row["val_mean"]) for row in csv.DictReader(file)]
    assert validated == sorted(validated, reverse=True)


def test_an_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_it_starts_without_what_takes_seconds_to_import(sweep: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from digits.__main__ import main; "
        f"assert main(['compare', {str(sweep)!r}, '--out', {str(tmp_path)!r}]) == 0; "
        "slow = {'torch', 'pytorch_lightning', 'hydra', 'omegaconf'} & set(sys.modules); "
        "assert not slow, slow"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
