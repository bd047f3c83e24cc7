"""A folder of pictures as a data set: in it one folder for each class, named by it.

Pictures are brought to MNIST's form as `digits predict` does it. What comes of them is kept in the
user's cache folder under a checksum of all that it depends on. What cannot be used is left out.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from digits.data.split import stratified_split
from digits.errors import DigitsError
from digits.files import cache_folder, whole_file
from digits.predict import predict

MAX_CLASSES = 256
"""Labels are written as bytes."""
TEST_SHARE = 5
"""One in so many pictures of each class is for the test, the same ones for every split and seed."""
SHOWN, MANY = 20, 100
"""Pictures that are named of those left out, and those whose preparing is announced."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Pictures:
    """Prepared pictures, in the order of classes and file names.

    Attributes:
        classes: their names.
        images: uint8 `(n, 28, 28)`.
        labels: uint8 `(n,)`, the indices of classes.
        files: of each image.
        left_out: files that cannot be used, and why.
    """

    folder: Path
    classes: Sequence[str]
    images: np.ndarray
    labels: np.ndarray
    files: Sequence[Path]
    left_out: Mapping[Path, str]

    @property
    def name(self) -> str:
        """The data set's, with a checksum of its images, labels and classes."""
        content = "\n".join(self.classes).encode() + self.labels.tobytes() + self.images.tobytes()
        return f"pictures-{hashlib.sha256(content).hexdigest()[:8]}"

    def part(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the images and labels of "train" or of "test", which have the same classes."""
        size = len(self.labels) // TEST_SHARE
        if not size or len(set(self.labels.tolist())) < 2:
            raise DigitsError(
                f"{self.folder} has {len(self.labels)} pictures that can be used; a training needs "
                "at least five, of two classes or more"
            )
        train, test = stratified_split(torch.from_numpy(self.labels), size, seed=0)
        chosen = (train if part == "train" else test).numpy()
        return self.images[chosen], self.labels[chosen]


def class_folders(folder: Path, option: str = "data.dir") -> dict[str, Path]:
    """Return the folders with pictures by their names; numbers come first, by their size.

    Raises:
        DigitsError: there are none, or too many.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise DigitsError(f"{folder} {what}; try {option}=FOLDER")
    found = {each.name: each for each in predict.subfolders(folder) if each.name[0] != "."}
    if not found:
        below = [each for each in folder.iterdir() if each.is_dir() and predict.subfolders(each)]
        raise DigitsError(
            f"{folder} does not hold a folder of pictures for each class, as 7/photo.jpg; "
            f"try {option}={below[0] if below else 'FOLDER'}"
        )
    if len(found) > MAX_CLASSES:
        raise DigitsError(f"{folder} has {len(found)} classes; at most {MAX_CLASSES} are possible")
    numbers = sorted((name for name in found if name.isdecimal()), key=int)
    return {name: found[name] for name in dict.fromkeys([*numbers, *sorted(found)])}


def read_pictures(
    folder: Path, classes: Sequence[str] | None = None, option: str = "data.dir"
) -> Pictures:
    """Read and prepare the pictures of a folder.

    Args:
        folder: holds a folder for each class.
        classes: those of a model, of which some may have no folder; `None`: what folders there are.
        option: what `folder` is called where the user types it.

    Raises:
        DigitsError: a folder is not a class, or there are too few pictures that can be used.
    """
    folders = class_folders(folder, option)
    names = [each.replace("/", "-") for each in classes or folders]
    for name, path in folders.items():
        if name not in names:
            raise DigitsError(
                f"{path} is not a folder of a class of the model; try the names {', '.join(names)}"
            )
    listed = [
        (file, names.index(name))
        for name, path in folders.items()
        for file in sorted(map(Path, predict.find_pictures([str(path)])))
    ]
    first: dict[str, Path] = {}
    left_out: dict[Path, str] = {}
    for file, _ in listed:
        if (other := first.setdefault(_checksum(file), file)) != file:
            left_out[file] = f"is the same picture as {other}"
    images, reasons = _prepared(tuple(first.values()), tuple(first))
    left_out |= {file: why for file, why in zip(first.values(), reasons, strict=True) if why}
    loose = sorted(file for file in folder.iterdir() if predict.is_picture(file))
    left_out |= dict.fromkeys(loose, "is not in the folder of a class")
    used = [(file, label) for file, label in listed if file not in left_out]
    if not used:
        file, why = next(iter(left_out.items()))
        raise DigitsError(f"{folder}: none of its pictures can be used; {file}: {why}")
    labels = np.array([label for _, label in used], np.uint8)
    files = [file for file, _ in used]
    _warn(tuple(left_out.items()))
    return Pictures(folder, tuple(classes or names), images, labels, files, left_out)


@lru_cache(maxsize=1)
def _warn(left_out: Sequence[tuple[Path, str]]) -> None:
    """Name the pictures that are left out, once for all who read the folder."""
    for file, reason in left_out[:SHOWN]:
        _log.warning(f"left out: {file}: {reason}")
    if (more := len(left_out) - SHOWN) > 0:
        _log.warning(f"left out: {more:,} more pictures")


def _checksum(file: Path) -> str:
    with suppress(OSError), file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
    return str(file)  # reading it says why


@lru_cache(maxsize=1)
def _prepared(files: tuple[Path, ...], sums: tuple[str, ...]) -> tuple[np.ndarray, list[str]]:
    """Return what a network sees, (n, 28, 28), and of each file what is wrong with it, or ""."""
    code = b"".join(
        path.read_bytes() for path in sorted(Path(predict.__file__).parent.glob("*.py"))
    )
    key = hashlib.sha256(code + "\n".join(sums).encode()).hexdigest()
    cache = cache_folder()
    path = cache / "pictures" / f"{key[:32]}.npz" if cache else None
    if path and path.exists():
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["images"], arrays["reasons"].tolist()
    if len(files) > MANY:
        _log.warning(
            f"preparing {len(files):,} pictures, about ten a second; the next time is quick"
        )
    images, reasons = [np.empty((0, 28, 28), np.uint8)], []
    for file in files:
        try:
            found = predict.prepare(file)
            if len(found) > 1:
                raise DigitsError(f"shows {len(found)} digits, not one")
            images.append(found[0].image[None])
            reasons.append("")
        except DigitsError as error:
            reasons.append(str(error))
    joined = np.concatenate(images)
    if path:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as temporary:
                np.savez_compressed(temporary, images=joined, reasons=np.array(reasons))
        except OSError as error:
            _log.info(f"prepared pictures are not kept: {error}")
    return joined, reasons
