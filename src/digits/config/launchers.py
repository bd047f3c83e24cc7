"""What launchers other than Hydra's own need."""

import re
import shutil
from typing import Any

from digits.errors import DigitsError

EXTRAS = {"joblib": "sweep", "submitit_slurm": "slurm", "submitit_local": "slurm", "ray": "ray"}
"""Launchers of other packages, and the extra of this project that installs each."""


def missing_extra(message: str) -> str | None:
    """Returns what to say where Hydra says that a launcher is missing; `None` elsewhere.

    Args:
        message: Hydra's, "In 'hydra/launcher/slurm': Could not load 'hydra/launcher/...'".
    """
    found = re.search(r"Could not (?:load|find) 'hydra/launcher/(\w+)'", message)
    if found is None or found[1] not in EXTRAS:
        return None
    asked = re.search(r"In 'hydra/launcher/(\w+)'", message)
    name, extra = (asked or found)[1], EXTRAS[found[1]]
    return (
        f"hydra/launcher={name} needs packages that are not installed; "
        f'try pip install -e ".[{extra}]"'
    )


def check_launcher(hydra: Any) -> None:
    """Checks that a sweep's launcher can run here.

    Args:
        hydra: Hydra's part of the sweep's configuration.

    Raises:
        DigitsError: jobs are for SLURM, and this is no machine of a cluster.
    """
    launcher = hydra.runtime.choices["hydra/launcher"]
    if launcher in ("slurm", "submitit_slurm") and shutil.which("srun") is None:
        raise DigitsError(
            f"hydra/launcher={launcher} finds no srun on PATH, as a SLURM cluster has; "
            "try hydra/launcher=parallel"
        )
