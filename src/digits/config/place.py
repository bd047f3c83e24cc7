"""Whether a run directory can be made where it shall be."""

import tempfile
from pathlib import Path

from digits.errors import DigitsError


def check_place(key: str, path: Path) -> None:
    """Makes sure that a directory can be made, or written to if it is there; leaves nothing behind.

    Args:
        key: the configuration's key that says where, e.g. `hydra.run.dir`.
        path: the directory.

    Raises:
        DigitsError: a file is in the way, or the place cannot be written.
    """
    existing = path.absolute()
    while not existing.exists():  # ends at the root
        existing = existing.parent
    remedy = f"try {key}=FOLDER with a folder of your own"
    if not existing.is_dir():
        raise DigitsError(f"{key}={path} cannot be made, because {existing} is a file; {remedy}")
    try:
        # Permissions, quotas, read-only disks, root's rights: only an attempt tells them all.
        with tempfile.TemporaryDirectory(prefix=".probe-", dir=existing):
            pass
    except OSError as error:
        raise DigitsError(f"{key}={path} cannot be written ({error.strerror}); {remedy}") from None
