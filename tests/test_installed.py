"""The package as a wheel, in a fresh environment: it trains from an empty folder."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch

from digits.__main__ import main

REPO = Path(__file__).parents[1]
TINY = ("data=sample", "model.hidden=[8]", "trainer.max_epochs=1", "trainer=cpu")
OURS = "# @package _global_\nseed: 7\n"


def outside() -> dict[str, str]:
    """Return the environment without the checkout in it."""
    return {key: os.environ[key] for key in os.environ if key != "PYTHONPATH"}


def python(*arguments: str, cwd: Path) -> None:
    subprocess.run([sys.executable, *arguments], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the sdist, and install it; return the command `digits`."""
    folder = tmp_path_factory.mktemp("build")
    source = folder / "repository"
    for name in ("src", "conf"):
        shutil.copytree(REPO / name, source / name)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "train.py"):
        shutil.copy(REPO / name, source)
    (source / "conf" / "local").mkdir(exist_ok=True)
    (source / "conf" / "local" / "default.yaml").write_text(OURS)
    build = "import sys, setuptools.build_meta as build; build.build_{}(sys.argv[1])"
    python("-c", build.format("sdist"), str(folder), cwd=source)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.glob("digits-*/")
    python("-c", build.format("wheel"), str(folder), cwd=unpacked)
    python("-m", "venv", "environment", cwd=folder)
    environment = folder / "environment"
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "of_the_tests.pth").write_text(str(Path(torch.__file__).parents[1]))
    install = ("pip", "install", "--no-deps", "--no-index", str(next(folder.glob("*.whl"))))
    subprocess.run([environment / "bin" / "python", "-m", *install], check=True, env=outside())
    return environment / "bin" / "digits"


@pytest.mark.slow
def test_a_wheel_trains_from_an_empty_folder_and_takes_what_is_laid_over(
    digits: Path, tmp_path: Path
) -> None:
    def run(*arguments: str, code: int = 0, **variables: str) -> str:
        done = subprocess.run(
            [str(digits), *arguments],
            cwd=tmp_path,
            env=outside() | variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    assert "seed=0" in run("train", *TINY, "name=first")
    assert (tmp_path / "outputs" / "runs" / "first" / "model.pt").exists()
    assert "test" in run("evaluate", "outputs/runs/first")
    assert "train" in run("--help")
    assert "digits train model=dropout optim=sgd norm=exact" in run("train", "--help")
    assert run("train", "model=dropuot", code=1) == (
        "error: model=dropuot does not exist; try model=dropout\n"
    )
    words = run("-sc", "query=bash", COMP_LINE="digits train model=d")
    assert words.split() == ["model=dropout"]

    for name, text in {
        "local/default": OURS,
        "model/narrow": "# Narrow.\ndefaults: [baseline]\n",
    }.items():
        file = tmp_path / "conf" / f"{name}.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(text)
    said = run("train", "model=narrow", *TINY, "name=second")
    assert "model=narrow (" in said and "schedule=cosine, seed=7\n" in said


def test_tab_completes_trainings_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMP_LINE", "digits compare outp")
    assert main(["-sc", "query=bash"]) == 0
    assert capsys.readouterr().out == ""
