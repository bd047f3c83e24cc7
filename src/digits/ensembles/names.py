"""What ensembles and their members are called, and where an ensemble is written."""

from collections.abc import Sequence
from pathlib import Path

from digits.errors import DigitsError
from digits.files import slug
from digits.recorded import ENSEMBLE, read_saved, run_directory, saved_file
from digits.runs import is_run_dir


def member_name(path: Path) -> str:
    """Returns the run directory's name; of a sweep's job the sweep's name and the job's number.

    A checkpoint's name is added, e.g. `first`, `first-sweep-3` or `first-last`.
    """
    file, folder = saved_file(path), run_directory(path)
    name = folder.name
    if (folder.parent / "multirun.yaml").exists():
        name = f"{folder.parent.name}-{name.partition('_')[0]}"
    return name if file.suffix == ".pt" else f"{name}-{file.stem}"


def ensemble_folder(paths: Sequence[Path]) -> Path:
    """Returns where an ensemble is written unless somebody says where: named by its members."""
    return Path("outputs/ensembles", slug("+".join(map(member_name, paths))))


def check_folder(folder: Path, paths: Sequence[Path]) -> None:
    """Makes sure that an ensemble's model.pt takes the place of no other model than an ensemble.

    Args:
        folder: where it shall be; it need not exist.
        paths: its members.

    Raises:
        DigitsError: the folder is a run directory, or holds another model or a member.
    """
    file = folder / "model.pt"
    is_taken = file.exists() and (
        file.resolve() in [saved_file(path).resolve() for path in paths]
        or read_saved(file)["model"] != ENSEMBLE
    )
    if is_taken or is_run_dir(folder):
        raise DigitsError(f"{folder} holds another model, which stays; try --out NEW_FOLDER")
