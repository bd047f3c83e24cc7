"""Jobs in processes of a launcher: as good as alone."""

import json
import os
from pathlib import Path

import pytest
import torch
from support import train_py

from digits.config.launchers import missing_extra

OPTIONS = ("data=sample", "model=dropout", "optim=sgd", "trainer=cpu", "trainer.max_epochs=2")
TIMES = ("train_time_s",)


def measured(run: Path) -> dict[str, object]:
    metrics: dict[str, object] = json.loads((run / "metrics.json").read_text())
    return {name: value for name, value in metrics.items() if name not in TIMES}


def assert_same_to_the_last_bit(run: Path, other: Path) -> None:
    assert measured(run) == measured(other)
    weights, others = (
        torch.load(each / "model.pt", weights_only=True)["weights"] for each in (run, other)
    )
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


@pytest.mark.parametrize(
    ("launcher", "plugin"),
    [
        ("parallel", "hydra_plugins.hydra_joblib_launcher"),
        ("submitit_local", "hydra_plugins.hydra_submitit_launcher"),
        ("ray_jobs", "hydra_plugins.hydra_ray_launcher"),
    ],
)
def test_a_job_is_bit_identical_to_the_same_job_alone_with_as_many_threads(
    launcher: str, plugin: str, tmp_path: Path
) -> None:
    pytest.importorskip(plugin)
    folder = tmp_path / "outputs"
    swept = train_py(
        *("-m", f"hydra/launcher={launcher}", "name=both", "seed=0,1", *OPTIONS), cwd=tmp_path
    )
    assert swept.returncode == 0, swept.stderr
    jobs = sorted(path.parent for path in folder.glob("sweeps/both/*/model.pt"))
    assert len(jobs) == 2
    for seed, job in enumerate(jobs):
        alone = train_py(f"name=alone-{seed}", f"seed={seed}", *OPTIONS, cwd=tmp_path)
        assert alone.returncode == 0, alone.stderr
        assert_same_to_the_last_bit(job, folder / "runs" / f"alone-{seed}")


def test_jobs_side_by_side_share_the_sweeps_directory_without_a_name(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    swept = train_py(
        *("-m", "hydra/launcher=parallel", "seed=0,1", "debug=fast", *OPTIONS[:-1]), cwd=tmp_path
    )
    assert (swept.returncode, swept.stderr) == (0, "")
    (sweep,) = (tmp_path / "outputs" / "sweeps").iterdir()
    assert len((sweep / "leaderboard.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("launcher", "plugin", "extra"),
    [
        ("parallel", "joblib", "sweep"),
        ("slurm", "submitit_slurm", "slurm"),
        ("ray_jobs", "ray", "ray"),
    ],
)
def test_a_launcher_whose_package_is_missing_names_the_extra(
    launcher: str, plugin: str, extra: str
) -> None:
    hydra = f"In 'hydra/launcher/{launcher}': Could not load 'hydra/launcher/{plugin}'."
    assert missing_extra(hydra) == (
        f"hydra/launcher={launcher} needs packages that are not installed; "
        f'try pip install -e ".[{extra}]"'
    )


def test_a_launcher_that_cannot_run_here_is_told_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    (tmp_path / "bin").mkdir()
    path = os.pathsep.join([str(tmp_path / "bin"), "/usr/bin", "/bin"])
    refused = train_py("-m", "hydra/launcher=slurm", "seed=0,1", cwd=tmp_path, PATH=path)
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        "error: hydra/launcher=slurm finds no srun on PATH, as a SLURM cluster has; "
        "try hydra/launcher=parallel"
    ]
    assert not (tmp_path / "outputs").exists()
