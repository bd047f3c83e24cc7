"""Every YAML file in conf/ composes, passes the check, and names classes that take what it says."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from digits.config.arguments import check_arguments
from digits.config.check import check_values, plain
from digits.config.resolvers import register_resolvers
from digits.config.unknown import check_keys

from .conftest import ROOT, CommandLine

CONF = ROOT / "conf"
FILES = sorted(file.relative_to(CONF) for file in CONF.rglob("*.yaml"))
OPTIONS = [file for file in FILES if len(file.parts) == 2]
MAX_LINES = 15


@pytest.mark.usefixtures("_as_new")
@pytest.mark.parametrize("file", OPTIONS, ids=map(str, OPTIONS))
def test_every_option_composes_and_passes_the_check(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # for trainer=gpu
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", [f"{file.parent}={file.stem}"], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        values = plain(config)
        check_keys(values, config.hydra)
        check_values(values)
        check_arguments(values)


@pytest.mark.parametrize("file", FILES, ids=map(str, FILES))
def test_every_file_begins_with_what_it_is_and_is_short(file: Path) -> None:
    lines = (CONF / file).read_text().splitlines()
    comments = [line for line in lines[:2] if line.startswith("# ") and "@package" not in line]

    assert lines[0].startswith("# ")
    assert comments, "no line says what it is and when to pick it"
    assert len(lines) <= MAX_LINES or file.name == "config.yaml"


def test_help_lists_every_option_and_key(train: CommandLine) -> None:
    code, stdout, stderr = train("optim=sgd", "--help")

    assert (code, stderr) == (0, "")
    for file in OPTIONS:
        assert f"  {file.parent}=\n" in stdout
        assert f" {file.stem} " in stdout
    assert "  * sgd" in stdout
    assert "optim.momentum=0.9" in stdout
    assert "data.val_size=5000 " in stdout
    assert max(map(len, stdout.splitlines())) <= 110


@pytest.mark.parametrize("flags", ["--cfg job", "--info", "--hydra-help", "--cfg job --resolve"])
def test_hydras_own_flags_work(train: CommandLine, tmp_path: Path, flags: str) -> None:
    code, stdout, stderr = train(*flags.split())

    assert (code, stderr) == (0, "")
    assert stdout
    assert not any(tmp_path.iterdir())
