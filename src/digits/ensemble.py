"""Ensembles: several trained networks that answer as one, by the mean of their probabilities.

Lakshminarayanan, Pritzel & Blundell, "Simple and scalable predictive uncertainty estimation using
deep ensembles", NeurIPS 2017. The ensemble's model.pt is a model like any other.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from digits.errors import DigitsError
from digits.files import slug
from digits.model_file import ENSEMBLE, model_path, read_model, run_directory
from digits.run_directory import MODEL, is_run_dir

NO_VALIDATION = (
    "the members kept different images apart for validation, "
    "so this ensemble can be measured on test images only"
)


def combine(paths: Sequence[Path]) -> dict[str, Any]:
    """Return the content of the ensemble's model.pt: its members' records and weights.

    If all members kept the same images apart for validation, so did the ensemble. If not, an image
    that is new to one member is one that another was trained on: the ensemble's `val_sha256` is
    `None` then, and it can be tested, but not validated.

    Raises:
        DigitsError: a file cannot be used or is of another dataset, or a network is in two.
    """
    files = [model_path(path) for path in paths]
    contents = [read_model(file) for file in files]
    first = contents[0]
    seen: list[tuple[Path, set[bytes]]] = []
    members = []
    for file, content in zip(files, contents, strict=True):
        if content["dataset"] != first["dataset"]:
            raise DigitsError(
                f"{file} was trained on dataset {content['dataset']}, {files[0]} on "
                f"{first['dataset']}; try runs on the same data"
            )
        own = {weight.double().numpy().tobytes() for weight in content["weights"].values()}
        for other, theirs in seen:
            if own <= theirs or theirs <= own:  # one may be an ensemble with the other in it
                raise DigitsError(
                    f"{file} and {other} hold the same network; name each member once"
                )
        seen.append((file, own))
        record = {key: value for key, value in content.items() if key != "weights"}
        members.append(record | {"name": member_name(file)})
    weights = {
        f"members.{number}.network.{name}": weight
        for number, content in enumerate(contents)
        for name, weight in content["weights"].items()
    }
    precisions = {content.get("precision", "32-true") for content in contents}
    validated_on = {content["split"]["val_sha256"] for content in contents}
    return first | {
        "model": ENSEMBLE,
        "arguments": {"members": members},
        "weights": weights,
        "normalization": {"mean": 0.0, "std": 1.0},  # each member has its own
        "split": first["split"]
        | {"val_sha256": validated_on.pop() if len(validated_on) == 1 else None},
        "precision": precisions.pop() if len(precisions) == 1 else "32-true",
    }


def member_name(path: Path) -> str:
    """Return what a member is called: as its run, or in a sweep as the sweep and the job's number.

    The name of a checkpoint is added, e.g. `first`, `first-sweep-3` or `first-last`.
    """
    file, folder = model_path(path), run_directory(path)
    name = folder.name
    if (folder.parent / "multirun.yaml").exists():
        name = f"{folder.parent.name}-{name.partition('_')[0]}"
    return name if file.suffix == ".pt" else f"{name}-{file.stem}"


def ensemble_folder(paths: Sequence[Path]) -> Path:
    """Return where an ensemble is written unless a folder is given: named by its members."""
    return Path("outputs", "ensembles", slug("+".join(map(member_name, paths))))


def check_folder(folder: Path, paths: Sequence[Path]) -> None:
    """Check that the model.pt of an ensemble of `paths` would replace no other model or member."""
    file = folder / MODEL
    is_taken = file.exists() and (
        file.resolve() in [model_path(path).resolve() for path in paths]
        or read_model(file)["model"] != ENSEMBLE
    )
    if is_taken or is_run_dir(folder):
        raise DigitsError(f"{folder} holds another model, which is kept; try --out NEW_FOLDER")
