"""Who may import whom, and what an import needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
MODULES = sorted(
    ".".join(path.relative_to(REPO / "src").with_suffix("").parts).removesuffix(".__init__")
    for path in (REPO / "src").rglob("*.py")
)


def python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], env=os.environ, check=True)


def test_imports_keep_the_contracts() -> None:
    config = str(REPO / "pyproject.toml")
    # In this process, it would switch off all loggers that there are.
    python(f"from importlinter.cli import lint_imports; exit(lint_imports({config!r}, no_cache=1))")


@pytest.mark.parametrize(
    ("code", "slow"),
    [
        ("import digits", "torch"),
        ("from digits.__main__ import make_parser; make_parser()", "torch matplotlib PIL"),
        ("import digits.compare, digits.figures", "torch omegaconf hydra"),
        ("import digits.evaluate, digits.export, digits.ensemble", "pytorch_lightning"),
    ],
)
def test_nobody_waits_for_what_is_slow_to_import(code: str, slow: str) -> None:
    python(f"{code}; import sys; sys.exit(any(name in sys.modules for name in {slow.split()}))")


def test_every_module_can_be_imported_on_windows() -> None:
    """Names of `signal` and `os` that are missing there are taken away first."""
    missing = {
        "signal": ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGKILL", "SIGCONT", "SIGSTOP"],
        "os": ["sched_getaffinity", "sysconf", "fork", "getuid", "geteuid", "killpg", "setsid"],
    }
    names = [name for name in MODULES if not name.endswith("__main__")]
    python(
        "import importlib, os, signal\n"
        "import hydra, optuna, pytorch_lightning, torch, torchmetrics\n"  # take what they need
        f"for module, names in {missing!r}.items():\n"
        "    for name in names:\n"
        "        vars(globals()[module]).pop(name, None)\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
    )
