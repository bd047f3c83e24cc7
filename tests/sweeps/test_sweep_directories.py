"""A sweep directory is of one grid."""

from pathlib import Path

import pytest
from support import train_py

TINY = ("data=sample", "data.train_size=640", "model.hidden=[16]", "trainer=cpu", "debug=fast")


def test_another_grid_in_the_same_directory_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    first = train_py("-m", "seed=0,1", "name=grid", *TINY, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    sweep = tmp_path / "outputs" / "sweeps" / "grid"
    before = {path: path.stat().st_mtime_ns for path in sweep.rglob("*")}
    other = train_py("-m", "seed=1,2", "name=grid", *TINY, cwd=tmp_path)
    assert other.returncode == 1
    (line,) = other.stderr.splitlines()
    assert "holds a sweep of seed=0,1" in line and "try another name=SWEEP" in line
    assert {path: path.stat().st_mtime_ns for path in sweep.rglob("*")} == before
    again = train_py("-m", "seed=0,1", "name=grid", *TINY, "logger=none", cwd=tmp_path)
    assert again.returncode == 0 and "2 of them finished already" in again.stdout


def test_a_sweep_in_the_directory_of_a_search_is_refused(tmp_path: Path) -> None:
    search = tmp_path / "outputs" / "sweeps" / "search"
    search.mkdir(parents=True)
    (search / "study.db").touch()
    refused = train_py("-m", "seed=0,1", "name=search", *TINY, cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr == (
        "error: outputs/sweeps/search holds a search; try another name=SWEEP\n"
    )


WRONG = {
    "nine.NineClassifier": ("nn.Flatten(), nn.Linear(784, 9)", "makes (2, 9) of two images"),
    "many.ManyClassifier": ("nn.Flatten(), nn.Linear(785, 10)", "cannot take images of shape"),
}


@pytest.mark.parametrize("target", WRONG)
def test_a_network_of_the_wrong_shape_is_told_in_one_line(target: str, tmp_path: Path) -> None:
    layers, told = WRONG[target]
    module, _, name = target.partition(".")
    (tmp_path / f"{module}.py").write_text(
        "from torch import nn\n"
        "from digits.models import Classifier\n"
        f"class {name}(Classifier):\n"
        "    def __init__(self, **training):\n"
        "        super().__init__(**training)\n"
        f"        self.network = nn.Sequential({layers})\n"
    )
    options = (f"model._target_={target}", "~model.hidden", "~model.compile", *TINY[:2], *TINY[3:])
    refused = train_py(*options, cwd=tmp_path, PYTHONPATH=f"{tmp_path}")
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert told in line and "try nn." in line


def test_an_output_that_nobody_reads_any_more_ends_no_run(tmp_path: Path) -> None:
    import os
    import subprocess
    import sys

    from support import REPO

    command = f"{sys.executable} {REPO}/train.py name=head {' '.join(TINY)} | head -1"
    environment = os.environ | {"PYTHONPATH": str(REPO / "src"), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, shell=True, cwd=tmp_path, env=environment, check=True)
    assert '"finished"' in (tmp_path / "outputs/runs/head/status.json").read_text()
