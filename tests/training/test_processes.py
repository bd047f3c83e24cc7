"""Two processes train one network, started from Hydra, as a single run and as jobs of a sweep."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runs import REPO, train, train_py
from torch import distributed
from torch.multiprocessing.spawn import spawn

from digits.errors import DigitsError
from digits.training.processes import check_common_name, leave_together

FEW = ("data=sample", "trainer.max_epochs=2", "schedule=constant")


def test_two_processes_train_and_test_in_each_job_of_a_sweep(tmp_path: Path) -> None:
    finished = train_py(
        "-m", "trainer=ddp", "data.batch_size=32", "seed=0,1", "name=ddp", *FEW, cwd=tmp_path
    )
    assert finished.returncode == 0, finished.stderr
    sweep = tmp_path / "outputs" / "sweeps" / "ddp"
    assert len([folder for folder in sweep.iterdir() if folder.is_dir()]) == 2
    assert sorted(path.name for path in (tmp_path / "outputs").iterdir()) == ["sweeps"]
    metrics = [json.loads(path.read_text()) for path in sorted(sweep.glob("*/metrics.json"))]
    assert [job["seed"] for job in metrics] == [0, 1]
    for job in metrics:
        assert (job["num_val"], job["num_test"]) == (500, 1000)
        assert job["epochs"] == 2
    steps = [path.read_text().splitlines()[-1].split(",")[1] for path in sweep.glob("*/*.csv")]
    assert steps == ["110", "110"]  # 3,500 images: 1,750 each, 55 minibatches of 32 an epoch

    alone = train(tmp_path / "alone", "trainer=cpu", "data.batch_size=64", *FEW)
    # Same global batch, other minibatches: equal but for the draw. Four standard deviations of the
    # difference of two accuracies on the same number of images.
    accuracy = alone["test/accuracy"]
    noise = 4 * (2 * accuracy * (1 - accuracy) / 1000) ** 0.5
    assert abs(metrics[0]["test/accuracy"] - accuracy) < noise


def test_two_machines_train_together_through_torchrun(tmp_path: Path) -> None:
    # Each agent stands for a machine; a real one differs in its address alone.
    def agent(rank: int) -> subprocess.Popen[str]:
        torchrun = [sys.executable, "-m", "torch.distributed.run"]
        address = ["--master-addr=127.0.0.1", f"--master-port={port}"]
        machines = ["--nnodes=2", f"--node-rank={rank}", "--nproc-per-node=1"]
        options = ["trainer=ddp", "trainer.devices=1", "+trainer.num_nodes=2", "name=two-machines"]
        return subprocess.Popen(
            [*torchrun, *machines, *address, str(REPO / "train.py"), *options, *FEW],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(REPO / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    agents = [agent(0), agent(1)]
    outputs = [each.communicate()[0] for each in agents]
    assert [each.returncode for each in agents] == [0, 0], outputs
    assert "test" in outputs[0] and "accuracy" not in outputs[1]  # one process speaks for all
    metrics = json.loads((tmp_path / "outputs/runs/two-machines/metrics.json").read_text())
    assert (metrics["num_val"], metrics["num_test"]) == (500, 1000)


def _leave(rank: int, folder: Path) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    if rank == 0:
        time.sleep(1)
        (folder / "written").touch()
    leave_together()
    assert (folder / "written").exists() and not distributed.is_initialized()


def test_no_process_leaves_before_the_first_one_has_written_all(tmp_path: Path) -> None:
    spawn(_leave, (tmp_path,), nprocs=2)  # type: ignore[no-untyped-call]


def test_processes_of_torchrun_need_a_common_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    check_common_name(["seed=1", "name=mine"])
    with pytest.raises(DigitsError, match="try name=my-run"):
        check_common_name(["seed=1", "model.name=mine"])
