"""MNIST: make sure that it is there, then read one part of it."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from digits.data.download import Limits
from digits.data.fetch import fetch
from digits.data.files import FILES, MIRRORS, MNIST, SAMPLE, DataFile, Part, PartFiles
from digits.data.idx import parse_idx
from digits.data.images import LabelledImages
from digits.data.local import RAW_FOLDER, find_good, load, warn_of_damage
from digits.data.sample import load_sample
from digits.errors import DigitsError

__all__ = ["MIRRORS", "MNIST", "SAMPLE", "SOURCES", "LabelledImages", "Part", "prepare", "read"]

SOURCES = ("auto", "local", "download", "sample")

_log = logging.getLogger(__name__)


def prepare(
    folder: Path,
    source: str = "auto",
    mirrors: Sequence[str] = MIRRORS,
    *,
    files: Mapping[Part, PartFiles] = FILES,
    limits: Limits | None = None,
) -> str:
    """Make sure that all images and labels are there and good, before a training starts.

    Files are looked for in `folder/MNIST/raw` (torchvision's layout) and in `folder`, each gzipped
    or unpacked. Only a download writes to the folder, always to `folder/MNIST/raw`.

    Args:
        folder: The data folder; it need not exist, and may be read-only if the files are there.
        source: `"auto"`: files that are there, else download, else the sample, with a warning.
            `"local"`: only files that are there. `"download"`: files that are there, else download.
            `"sample"`: only the sample.
        mirrors: https addresses of folders that hold the .gz files; asked in this order.
        files: The two files of each part.
        limits: When to give up downloading; None takes the usual ones.

    Returns:
        The name of the dataset that `read` is to read: `"mnist"` or `"mnist-sample-5k"`.

    Raises:
        DigitsError: If the source is unknown or cannot give the data. `"auto"` does not fall back
            to the sample where a file is there but damaged: its owner means MNIST.
    """
    if source not in SOURCES:
        known = ", ".join(SOURCES)
        raise DigitsError(f"data.source must be one of {known}, got {source!r}; try auto")
    if source == "sample":
        return _prepare_sample()
    folder = Path(folder).expanduser()
    lacking, damaged = _look(folder, files)
    if not lacking:
        return MNIST
    if source == "local":
        raise DigitsError(_what_is_wrong(folder, lacking, damaged) + _LOCAL_REMEDIES)
    try:
        _download(lacking, folder / RAW_FOLDER, mirrors, limits)
    except DigitsError as error:
        if damaged:
            raise DigitsError(f"{'; '.join(damaged)}; and {error}") from error
        if source == "download":
            raise
        _log.warning(
            "THIS IS NOT FULL MNIST: training and testing on a sample of 5,000 images "
            "(dataset: %s), because %s: %s",
            SAMPLE,
            _what_is_wrong(folder, lacking, damaged),
            error,
        )
        return _prepare_sample()
    warn_of_damage(damaged, folder / RAW_FOLDER)
    return MNIST


def read(
    folder: Path,
    part: Part,
    dataset: str,
    *,
    files: Mapping[Part, PartFiles] = FILES,
) -> LabelledImages:
    """Read one part into memory, verified by SHA-256.

    Args:
        folder: The data folder, as given to `prepare`; it is never written to.
        part: `"train"` or `"test"`.
        dataset: What `prepare` returned.
        files: The two files of each part.

    Returns:
        Images and labels, in memory of their own.

    Raises:
        DigitsError: If a file is missing or damaged, or the dataset is unknown.
    """
    if dataset == SAMPLE:
        return load_sample(part)
    if dataset != MNIST:
        raise DigitsError(f"dataset must be {MNIST} or {SAMPLE}, got {dataset!r}")
    folder = Path(folder).expanduser()
    images = parse_idx(load(folder, files[part].images), expected_ndim=3)
    labels = parse_idx(load(folder, files[part].labels), expected_ndim=1)
    return LabelledImages(
        torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels).to(torch.int64)
    )


def _look(folder: Path, files: Mapping[Part, PartFiles]) -> tuple[list[DataFile], list[str]]:
    """Files of which there is no good copy, and what is wrong with the copies of those."""
    lacking, damaged = [], []
    for part in files.values():
        for file in (part.images, part.labels):
            good, damage = find_good(folder, file)
            if good:
                warn_of_damage(damage, good)
            else:
                lacking.append(file)
                damaged += damage
    return lacking, damaged


def _download(
    lacking: list[DataFile], folder: Path, mirrors: Sequence[str], limits: Limits | None
) -> None:
    # The smallest first: a mirror that does not work is found out on 5 kB.
    for file in sorted(lacking, key=lambda file: file.gz_bytes):
        mirrors = fetch(file, folder, mirrors, limits)


def _what_is_wrong(folder: Path, lacking: list[DataFile], damaged: list[str]) -> str:
    names = ", ".join(file.name for file in lacking)
    return "; ".join(damaged) or f"{folder} lacks {names} (.gz or unpacked)"


_LOCAL_REMEDIES = (
    "; set data.dir=FOLDER (or DIGITS_DATA) to a folder that holds the four files, "
    "or use data.source=download, or data=sample"
)


def _prepare_sample() -> str:
    load_sample("test")
    return SAMPLE
