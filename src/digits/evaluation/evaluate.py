"""A saved model tested again, on the data that its own record names."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer

from digits.data.datamodule import MNISTDataModule
from digits.data.images import LabelledImages
from digits.data.mnist import SAMPLE
from digits.ensembles.members import member_contents
from digits.ensembles.tables import NO_VALIDATION
from digits.errors import DigitsError
from digits.models.measure import Measures, measure
from digits.recorded import read_saved, rebuild, saved_file
from digits.training.console import quieten_lightning

PARTS = ("test", "val")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What came out.

    Attributes:
        file: the model.pt or checkpoint that was evaluated.
        part: "test" or "val".
        accuracy: share of images classified correctly.
        loss: mean cross-entropy in nats.
        measures: everything else.
        images: what was measured on, with labels.
        record: what the file says of its model, but for the weights.
        members: of an ensemble, each of its members by itself, in their order.
    """

    file: Path
    part: str
    accuracy: float
    loss: float
    measures: Measures
    images: LabelledImages
    record: dict[str, Any]
    members: tuple["Evaluation", ...] = ()


def evaluate(path: Path, data_dir: Path, part: str = "test") -> Evaluation:
    """Tests a saved model as its training did: same data, split, normalization and precision.

    Args:
        path: a run directory, a model.pt or a checkpoint.
        data_dir: where the MNIST files are; they are downloaded to there if they are not.
        part: "test" or "val" (the images that the training kept apart).

    Raises:
        DigitsError: the file or the data cannot be used, or the validation images cannot be the
            ones that the training kept apart.
    """
    file = saved_file(path)
    return evaluate_content(file, read_saved(file), data_dir, part)


def evaluate_content(
    file: Path, content: dict[str, Any], data_dir: Path, part: str = "test"
) -> Evaluation:
    """Tests what a file holds, or is going to hold; of an ensemble each member as well.

    Args:
        file: its place, for messages and the report.
        content: what `read_saved` returns.
        data_dir: as for `evaluate`.
        part: as for `evaluate`.

    Raises:
        DigitsError: as for `evaluate`.
    """
    assert part in PARTS
    whole = _measured(file, content, data_dir, part)
    members = [_measured(file, each, data_dir, part) for each in member_contents(file, content)]
    return replace(whole, members=tuple(members))


def _measured(file: Path, content: dict[str, Any], data_dir: Path, part: str) -> Evaluation:
    model = rebuild(file, content)
    datamodule = _datamodule(content, data_dir)
    quieten_lightning()
    trainer = Trainer(
        precision=content.get("precision", "32-true"),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    if part == "val":
        datamodule.test = _validation_images(datamodule, content, file)
    (metrics,) = trainer.test(model, datamodule, verbose=False)
    images = datamodule.test
    assert images is not None
    measures = measure(model.test_logits, images.labels)
    record = {name: value for name, value in content.items() if name != "weights"}
    # Lightning's accuracy is a float32; the measures have the same count of images exactly.
    return Evaluation(file, part, measures.accuracy, metrics["test/loss"], measures, images, record)


def _validation_images(
    datamodule: MNISTDataModule, content: dict[str, Any], file: Path
) -> LabelledImages:
    if content["split"]["val_sha256"] is None:
        raise DigitsError(f"{file}: {NO_VALIDATION}; try --part test")
    datamodule.setup("validate")
    if datamodule.split_sha256 != content["split"]["val_sha256"]:
        raise DigitsError(f"{file} was validated on other images than {datamodule.dir} gives")
    assert datamodule.train is not None
    chosen = datamodule.val_indices
    return LabelledImages(datamodule.train.images[chosen], datamodule.train.labels[chosen])


def _datamodule(content: dict[str, Any], data_dir: Path) -> MNISTDataModule:
    # Whoever trained on MNIST is not to be tested on the sample because the files are gone.
    source = "sample" if content["dataset"] == SAMPLE else "download"
    normalization, split = content["normalization"], content["split"]
    return MNISTDataModule(
        data_dir,
        source,
        val_size=split["val_size"],
        train_size=split["train_size"],
        split_seed=split["split_seed"],
        mean=normalization["mean"],
        std=normalization["std"],
    )
