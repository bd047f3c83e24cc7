"""Two processes train one network, started from Hydra, as a single run and as jobs of a sweep."""

import json
from pathlib import Path

from runs import train, train_py

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
