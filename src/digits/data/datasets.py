"""Which data sets there are: their names, files, checksums and classes, made ready and read.

MNIST's checksums are below, those of its relatives in torchvision, which has them of packed files
only. A folder of pictures is a data set as well, see `digits.data.pictures`.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from digits.data.published import (
    DataFile,
    Dataset,
    NotFetchedError,
    Part,
    bring,
    gunzip,
    parse_idx,
    read_file,
)
from digits.errors import DigitsError

# torch is imported where it is needed: commands read SOURCES for their --help.
if TYPE_CHECKING:
    from torch import Tensor

MNIST, SAMPLE = "mnist", "mnist-sample-5k"
"""Names of data sets, as they stand in every output."""
NOT_MNIST = (
    "the embedded sample of 5,000 images, not MNIST: "
    "do not compare these results with those on MNIST."
)
"""What every report on the sample says that it is."""
PICTURES = "pictures"
"""What data sets of the user's own are asked for by, and their names begin with."""

VAL_SIZE = 5000
"""Training images kept for validation, unless there are fewer or something else is said."""

SOURCES = ("auto", "local", "download", "sample")

SIDE = 28
"""Height and width of an image in pixels."""
NUM_CLASSES = 10
CLASSES = tuple(map(str, range(NUM_CLASSES)))

RELATIVES = {
    "fashion_mnist": (
        "FashionMNIST",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
    ),
    "kmnist": ("KMNIST", "https://codh.rois.ac.jp/kmnist/dataset/kmnist/"),
}
"""Data sets in torchvision's catalogue whose files have MNIST's names: their classes there, and
https addresses of their authors', since torchvision has http ones only."""
NAMES = (MNIST, *RELATIVES, PICTURES)
"""What can be asked for."""

_log = logging.getLogger(__name__)

SHA256SUMS = """
440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609  train-images-idx3-ubyte.gz
ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db  train-images-idx3-ubyte
3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c  train-labels-idx1-ubyte.gz
65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5  train-labels-idx1-ubyte
8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6  t10k-images-idx3-ubyte.gz
0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7  t10k-images-idx3-ubyte
f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6  t10k-labels-idx1-ubyte.gz
ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2  t10k-labels-idx1-ubyte
2c05dc77f6b916b38e455e97ab129a42a444f3dbef09b278a366f82904e0dd9f  qmnist-train-labels-idx2-int.gz
bb1b6e1ec7b04fd5696f1ed50b5f58f8ef195118edd5c93c81783df9740b8ac5  qmnist-train-labels-idx2-int
"""


def _files(*names: str) -> tuple[DataFile, ...]:
    words = SHA256SUMS.split()
    known = dict(zip(words[1::2], words[::2], strict=True))
    return tuple(DataFile(name, known[name], known[f"{name}.gz"]) for name in names)


DATASETS = {
    # LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/
    MNIST: Dataset(
        catalogue="MNIST",
        files={
            "train": _files("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
            "test": _files("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
        },
        mirrors=(
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://raw.githubusercontent.com/fgnt/mnist/master/",
        ),
    )
}
"""Those whose checksums are kept here."""

WRITERS = {
    # Yadav and Bottou, "Cold case: the lost MNIST digits", NeurIPS 2019
    MNIST: Dataset(
        catalogue="QMNIST",
        files={"train": _files("qmnist-train-labels-idx2-int")},
        mirrors=("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",),
        beside=("MNIST/raw", ""),
    )
}
"""Of each data set whose writers are known, the labels that say who wrote a training image."""


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images and the class of each, in memory.

    Attributes:
        images: uint8 `(n, 1, 28, 28)`; 0 is background, 255 is full ink.
        labels: int64 `(n,)`, the indices of classes.
    """

    images: "Tensor"
    labels: "Tensor"


class Options(NamedTuple):
    """What the options that say which data is meant are called where the user types them."""

    dir: str = "data.dir"
    source: str | None = "data.source"  # None: there is no such option
    split: str | None = "data.split"
    val_size: str = "data.val_size"


OF_RUN = Options()
OF_VERB = Options("--data-dir", "--source", "--split", "--val-size")


def default_folder() -> Path:
    """Return where the data is looked for unless said otherwise: `DIGITS_DATA`, else `data`."""
    return Path(os.path.expanduser(os.environ.get("DIGITS_DATA", "data")))


def published(name: str) -> Dataset:
    """Return the entry of MNIST or one of its relatives."""
    if name in DATASETS:
        return DATASETS[name]
    import torchvision.datasets  # takes as long as torch

    catalogue, *mirrors = RELATIVES[name]
    known = getattr(torchvision.datasets, catalogue)
    files = tuple(DataFile(file.removesuffix(".gz"), None, md5) for file, md5 in known.resources)
    parts: dict[Part, tuple[DataFile, ...]] = {"train": files[:2], "test": files[2:]}
    return Dataset(catalogue, parts, tuple(mirrors), beside=())


def asked_for(dataset: str) -> str:
    """Return by which of `NAMES` a data set is asked for that is called so in outputs."""
    return PICTURES if dataset.startswith(PICTURES) else MNIST if dataset == SAMPLE else dataset


def classes_of(folder: str | Path, dataset: str) -> tuple[str, ...]:
    """Return the names of the classes, in the order of the labels."""
    if asked_for(dataset) == PICTURES:
        from digits.data.pictures import class_folders

        return tuple(class_folders(Path(folder)))
    if dataset in (MNIST, SAMPLE):
        return CLASSES
    import torchvision.datasets

    return tuple(getattr(torchvision.datasets, RELATIVES[dataset][0]).classes)


def class_word(classes: Sequence[str]) -> str:
    """Return what one of the classes is called in tables and figures."""
    return "digit" if tuple(classes) == CLASSES else "class"


def prepare(
    folder: str | Path,
    source: str = "auto",
    name: str = MNIST,
    split: str = "random",
    options: Options = OF_RUN,
) -> str:
    """Make sure that all images and labels are there and good, before training starts.

    Args:
        folder: The data folder; it need not exist, and may be read-only if the files are there.
        source: `"auto"`: files that are there, else download, else the sample of MNIST, with a
            warning. `"local"`: only files that are there. `"download"`: files that are there, else
            download. `"sample"`: only the sample.
        name: One of `NAMES`.
        split: `"writers"`: also who wrote the training images.
        options: For messages.

    Returns:
        The name of the data set that `read` is to read, e.g. `"mnist"` or `"mnist-sample-5k"`.

    Raises:
        DigitsError: If the source is unknown or cannot give the data, or a file is another data
            set's. `"auto"` does not fall back to the sample where a file is damaged and no good
            copy is to be had: its owner means MNIST.
    """
    for given, choices in ((source, SOURCES), (name, NAMES)):
        if given not in choices:
            what = "source" if choices is SOURCES else "data set"
            raise DigitsError(f"the {what} must be one of {', '.join(choices)}, got {given!r}")
    if split == "writers":
        _check_writers(name, options)  # before anything is downloaded
    dataset = _prepare_images(Path(folder), source, name, options)
    if split == "writers":
        _check_writers(dataset, options)
        remedies = f"try {options.dir}=FOLDER, where it is"
        if options.split:
            remedies += f", or {options.split}=random"
        bring(Path(folder), WRITERS[dataset], source, remedies)
    return dataset


def _check_writers(dataset: str, options: Options) -> None:
    if dataset not in WRITERS:
        raise DigitsError(
            f"{options.split}=writers needs the writers of the images, which are not known for "
            f"{dataset}; try {options.split}=random"
        )


def _prepare_images(folder: Path, source: str, name: str, options: Options) -> str:
    if name == PICTURES:
        from digits.data.pictures import read_pictures

        return read_pictures(folder, option=options.dir).name
    if source == "sample":
        if name != MNIST:
            remedy = f"{options.source}=auto"
            raise DigitsError(f"the sample is of mnist, and there is none of {name}; try {remedy}")
        return SAMPLE
    dataset = published(name)
    what = "the four files are" if name == MNIST else f"{dataset.catalogue}/raw/ is"
    remedies = f"try {options.dir}=FOLDER (or DIGITS_DATA=FOLDER), where {what}"
    if options.source and name == MNIST:
        remedies += f", or {options.source}=sample, which needs no download"
    if options.source and source == "local":
        remedies += f", or {options.source}=download"
    try:
        bring(folder, dataset, source, remedies)
    except NotFetchedError as error:
        if source == "download" or name != MNIST:
            raise
        _log.warning(
            "THIS IS NOT FULL MNIST: training and testing on a sample of 5,000 images "
            f"(dataset: {SAMPLE}), because {error}"
        )
        return SAMPLE
    return name


def read(folder: str | Path, part: Part, dataset: str) -> LabelledImages:
    """Read one part into memory, verified by its checksum; the caller may write to it.

    `dataset` is what `prepare` returned for the same folder.

    Raises:
        DigitsError: If a file is missing or damaged.
    """
    folder = Path(folder)
    if dataset == SAMPLE:
        return load_sample(part)
    if dataset.startswith(PICTURES):
        from digits.data.pictures import read_pictures

        pictures = read_pictures(folder)
        if pictures.name != dataset:
            raise DigitsError(f"{folder} has changed: it holds {pictures.name}, not {dataset}")
        return labelled(*pictures.part(part))
    entry = published(dataset)
    images, labels = (read_file(folder, entry, file) for file in entry.files[part])
    num_classes, shape = len(classes_of(folder, dataset)), (len(labels), SIDE, SIDE)
    if images.shape != shape or labels.max() >= num_classes:  # possible if not verified
        raise DigitsError(f"the files in {folder} are not those of {dataset}; move them away")
    return labelled(images, labels)


def read_writers(
    folder: str | Path, dataset: str, labels: "Tensor"
) -> tuple[np.ndarray, np.ndarray]:
    """Read who wrote each training image, whose `labels` are compared; see `prepare`.

    Returns:
        The number of each image's writer, and the writer's NIST series, 0 (census employees) or 4
        (pupils): int32 `(n,)`.

    Raises:
        DigitsError: If the file is missing or damaged, or describes other images.
    """
    table = read_file(Path(folder), WRITERS[dataset], WRITERS[dataset].files["train"][0])
    # Of QMNIST's eight columns: class, NIST series, writer. The first ones are MNIST's own labels.
    if not np.array_equal(table[:, 0], labels.numpy()):
        raise DigitsError(f"the writers' file in {folder} has other labels than {dataset}")
    return table[:, 2].astype(np.int32), table[:, 1].astype(np.int32)


def read_again(
    folder: Path, part: Part, dataset: str, source: str = "download", split: str = "random"
) -> LabelledImages:
    """Prepare and read what a model was trained with, never the sample in its place."""
    source, options = (
        "sample" if dataset == SAMPLE else source,
        OF_VERB._replace(source=None, split=None),
    )
    found = prepare(folder, source, asked_for(dataset), split, options)
    if found != dataset:
        raise DigitsError(f"{folder} holds {found}, not {dataset}; try {options.dir}=FOLDER")
    return read(folder, part, dataset)


def load_sample(part: Part) -> LabelledImages:
    """Read one part of the embedded sample: 4,000 training images or 1,000 test images.

    Both parts hold every class equally often, in mixed order. All 5,000 images come from MNIST's
    official *training* part (500 a class), so an accuracy on the sample's test part says nothing
    about MNIST's test part. Source, licence and selection are described in data/sample/.
    """
    folder = Path(__file__).with_name("sample")
    chosen = slice(4_000) if part == "train" else slice(4_000, None)
    images, labels = (
        parse_idx(gunzip((folder / f"{name}.gz").read_bytes()))[chosen]
        for name in ("images-idx3-ubyte", "labels-idx1-ubyte")
    )
    return labelled(images, labels)


def labelled(images: np.ndarray, labels: np.ndarray) -> LabelledImages:
    """Return bytes (n, 28, 28) and labels (n,) as tensors."""
    import torch

    return LabelledImages(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels).long())
