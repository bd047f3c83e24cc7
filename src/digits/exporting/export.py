"""The way of a model into a file: write it, load it there, compare, and only then keep it."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from digits.artifact import TrainedClassifier
from digits.errors import DigitsError
from digits.exporting.capture import reason
from digits.exporting.compare import Comparison, compare
from digits.exporting.formats import Format
from digits.exporting.images import ImagesToCompare
from digits.files import whole_file


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how it compares with the original."""

    path: Path
    num_bytes: int
    comparison: Comparison


def export(
    model: TrainedClassifier, form: Format, folder: Path, pixels: str, images: ImagesToCompare
) -> Exported:
    """Writes a model to a file of that format, if it predicts the same there.

    Args:
        model: the original, in `eval()` mode.
        form: the kind of file.
        folder: where to write; an older file of the same name is replaced.
        pixels: "floats" in [0, 1] or "bytes", what the exported model is to take.
        images: what both are compared on.

    Raises:
        DigitsError: the folder cannot be written to, the network cannot be exported, or an image
            gets another class. Nothing is left behind, and an older file stays.
    """
    path = folder / form.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            content = form.writer().encode(model, pixels)
            temporary.write_bytes(content)
            comparison = _compare(model, form, temporary, pixels, images.images)
            if len(comparison.changed):
                raise DigitsError(_other_classes(comparison, form, images.name))
    except OSError as error:
        raise DigitsError(
            f"cannot write {path}: {error.strerror or error}; try --out DIR"
        ) from error
    return Exported(path, len(content), comparison)


def _compare(
    model: TrainedClassifier, form: Format, path: Path, pixels: str, images: Tensor
) -> Comparison:
    try:
        return compare(model, form.writer().open_file(path), images, form.kinds(pixels))
    except Exception as error:  # each runtime has errors of its own
        raise DigitsError(
            f"{form.file} is not kept, because {form.runtime} fails on it: {reason(error)}"
        ) from error


def _other_classes(comparison: Comparison, form: Format, name: str) -> str:
    return (
        f"{form.file} is not kept, because {form.runtime} gives another class than the original "
        f"for {len(comparison.changed):,} of {comparison.num_images:,} {name}, first for number "
        f"{int(comparison.changed[0])}; largest difference of a logit: "
        f"{comparison.largest_difference:.2g}"
    )
