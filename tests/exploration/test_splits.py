from pathlib import Path

from digits.data.datamodule import MNISTDataModule
from digits.data.sample import load_sample
from digits.exploration.splits import read_splits


def test_the_splits_are_those_of_a_run(tmp_path: Path) -> None:
    dataset, (training, validation, test) = read_splits(tmp_path, "sample", 300, 7)
    assert dataset == "mnist-sample-5k"
    a_run = MNISTDataModule(tmp_path, "sample", val_size=300, split_seed=7)
    a_run.setup("fit")
    images, labels = next(next(iter(a_run.val_dataloader())).minibatches())
    assert validation.images[: len(images)].equal(images)
    assert validation.labels[: len(labels)].equal(labels)
    official = load_sample("train")
    for split in (training, validation):
        assert official.images[split.indices].equal(split.images)
        assert official.labels[split.indices].equal(split.labels)
    assert sorted([*training.indices.tolist(), *validation.indices.tolist()]) == [*range(4000)]
    assert test.images.equal(load_sample("test").images)
