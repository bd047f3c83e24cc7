"""`python train.py` in processes of its own, and of launchers."""

import json
from pathlib import Path

import pytest
import torch
from support import train_py

SMALL = ("data=sample", "trainer=cpu", "debug=fast")


def test_a_run_leaves_what_it_was_composed_from_and_a_log_and_warns_of_nothing(
    tmp_path: Path,
) -> None:
    finished = train_py(*SMALL, "name=one", "seed=3", cwd=tmp_path)

    run_dir = tmp_path / "outputs" / "runs" / "one"
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "outputs/runs/one" in finished.stdout
    hydra = [path.name for path in sorted((run_dir / ".hydra").iterdir())]
    assert hydra == ["config.yaml", "hydra.yaml", "overrides.yaml"]
    log = (run_dir / "train.log").read_text()
    assert "3500 training" in log and "litlogger" not in log
    metrics = json.loads((run_dir / "metrics.json").read_text())
    assert (metrics["seed"], metrics["dataset"]) == (3, "mnist-sample-5k")
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]


def results(run_dir: Path) -> dict[str, object]:
    metrics: dict[str, object] = json.loads((run_dir / "metrics.json").read_text())
    return {name: value for name, value in metrics.items() if name != "train_time_s"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "plugin"),
    [
        ("parallel", "hydra_plugins.hydra_joblib_launcher"),
        ("submitit_local", "hydra_plugins.hydra_submitit_launcher"),
        ("ray_jobs", "hydra_plugins.hydra_ray_launcher"),
    ],
)
def test_a_job_of_a_launcher_is_bit_identical_to_the_same_run_alone(
    launcher: str, plugin: str, tmp_path: Path
) -> None:
    pytest.importorskip(plugin)
    options = (*SMALL, "model=dropout", "optim=sgd")
    swept = train_py(
        *("-m", f"hydra/launcher={launcher}", "name=both", "seed=0,1", *options), cwd=tmp_path
    )
    assert swept.returncode == 0, swept.stderr
    folder = tmp_path / "outputs"
    jobs = sorted(path.parent for path in folder.glob("sweeps/both/*/model.pt"))
    assert len(jobs) == 2
    assert len((folder / "sweeps" / "both" / "leaderboard.csv").read_text().splitlines()) == 3
    for seed, job in enumerate(jobs):
        alone = train_py(f"name=alone-{seed}", f"seed={seed}", *options, cwd=tmp_path)
        assert alone.returncode == 0, alone.stderr
        run = folder / "runs" / f"alone-{seed}"
        assert results(job) == results(run)
        weights, others = (
            torch.load(each / "model.pt", weights_only=True)["weights"] for each in (job, run)
        )
        assert weights.keys() == others.keys()
        assert all(torch.equal(weights[name], others[name]) for name in weights)


@pytest.mark.slow
def test_jobs_side_by_side_share_the_sweeps_directory_without_a_name(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    swept = train_py("-m", "hydra/launcher=parallel", "seed=0,1", *SMALL, cwd=tmp_path)

    assert (swept.returncode, swept.stderr) == (0, "")
    (sweep,) = (tmp_path / "outputs" / "sweeps").iterdir()
    assert len(list(sweep.glob("*/model.pt"))) == 2
