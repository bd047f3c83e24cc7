"""What a run was made with: the commit of the code, versions of packages, the machine."""

import platform
import re
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from digits.config.resolvers import num_cores

CHECKOUT = Path(__file__).parents[3]
"""The repository, unless the package is installed elsewhere."""
PACKAGES = (
    *("digits", "torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core"),
    "numpy",
)


class Commit:
    """The checkout's commit when a run begins; git is asked beside it, and heard at its end."""

    def __init__(self) -> None:
        self._git: subprocess.Popen[str] | None = None
        command = ("git", "--no-optional-locks", "-C", str(CHECKOUT), "status", "--porcelain=v2")
        if (CHECKOUT / ".git").exists():
            with suppress(OSError):  # there is no git
                self._git = subprocess.Popen(
                    (*command, "--branch"),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )

    def read(self) -> dict[str, Any] | None:
        """Return the commit, and whether nothing had been changed or added since."""
        lines = self._git.communicate()[0].splitlines() if self._git else []
        commit = [line.split()[2] for line in lines if line.startswith("# branch.oid")]
        clean = all(line.startswith("#") for line in lines)
        return {"commit": commit[0], "clean": clean} if commit else None


def made_with(commit: Commit) -> dict[str, Any]:
    """Return what status.json says of a run: plain values."""
    return {"git": commit.read(), "versions": _versions(), "machine": _machine()}


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):  # digits itself, not installed
            found[package] = version(package)
    return found


@cache
def _machine() -> dict[str, Any]:
    processor = platform.processor() or platform.machine()
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text()
        processor = next(iter(re.findall(r"model name\s*: (.*)", text)), processor)
    torch = sys.modules.get("torch")
    has_gpu = torch and torch.cuda.is_initialized()
    return {
        "processor": processor,
        "cores": num_cores(),
        "gpu": torch.cuda.get_device_name() if torch and has_gpu else None,
    }
