"""Where modules lie, and whose they are, without importing them."""

import os
import sys
from importlib.machinery import all_suffixes
from importlib.util import find_spec
from pathlib import Path


def places(module: str) -> list[Path]:
    """Returns the file or the folders of the package that a module belongs to; none if absent."""
    try:
        spec = find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    found = spec.submodule_search_locations or [spec.origin or ""]
    return [Path(each) for each in found if each]


def is_file(module: str) -> bool:
    """Says whether a module is a file or a folder, and not what another one imports as `os`."""
    rest = module.split(".")[1:]
    if not rest:
        return module == "__main__" or bool(places(module))
    paths = [place.joinpath(*rest) for place in places(module)]
    files = [Path(f"{path}{suffix}") for path in paths for suffix in all_suffixes()]
    return any(path.is_dir() for path in paths) or any(file.is_file() for file in files)


def is_own(module: str) -> bool:
    """Says whether a module is the user's: neither Python's, nor installed, nor of digits."""
    package = module.partition(".")[0]
    if package == "__main__":
        return module == package
    if package in sys.stdlib_module_names or package in ("digits", "hydra_plugins"):
        return False
    found = places(package)
    return bool(found) and not any(map(_is_installed, found))


def _is_installed(place: Path) -> bool:
    is_package = bool({"site-packages", "dist-packages"} & set(place.parts))
    return is_package or place.is_relative_to(Path(os.__file__).parent)  # Python's own modules
