"""What a configuration may have imported and called, and that nothing else ever is."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from digits.config.arguments import check_arguments
from digits.config.modules import is_own
from digits.config.targets import KINDS, check_found, check_name, check_targets
from digits.errors import DigitsError

from .conftest import ROOT, CommandLine

HOSTILE = [
    *("os.system", "posix.system", "builtins.eval", "builtins.exec", "subprocess.Popen"),
    *("torch.load", "torch.hub.load", "torch.serialization.load", "torch.os.system"),
    *("torch.optim.os.system", "torch.optim.adam.cast", "torch.nn.modules.module.warnings.warn"),
    *("pytorch_lightning.os.system", "pytorch_lightning.utilities.cloud_io._load"),
    *("hydra.utils.get_method", "hydra.utils.call", "hydra._internal.utils._locate"),
    *("digits.models.os.system", "digits.files.write_atomically", "digits.schedules.math.exp"),
    *("importlib.import_module", "runpy.run_path", "functools.partial", "numpy.load", "pip.main"),
    *("yaml.unsafe_load", "joblib.load", "pickle.loads", "shutil.rmtree", "__builtin__.eval"),
]

COMMANDS = [
    ("model._target_={}", "model._target_="),
    ("optim._target_={}", "optim._target_="),
    ("+callbacks.x._target_={}", "callbacks.x._target_="),
    ("+callbacks.x={{_target_:{},command:ls}}", "callbacks.x._target_="),
    ("+trainer.plugins=[[{{_target_:{}}}]]", "trainer.plugins.0.0._target_="),
    ("+model.layers={{a:[{{b:{{_target_:{}}}}}]}}", "model.layers.a.0.b._target_="),
    ("-m seed=0,1 data._target_={}", "data._target_="),
    ("-m model._target_=digits.models.BaselineClassifier,{}", "model._target_="),
    ("-m seed=0,1 +callbacks.x={{_target_:{}}}", "callbacks.x._target_="),
    ("-m hydra/launcher=parallel seed=0,1 model._target_={}", "model._target_="),
    ("+hydra.callbacks.x={{_target_:{}}}", "hydra.callbacks.x._target_="),
    ("hydra.callbacks.check._target_={}", "hydra.callbacks.check._target_="),
    ("hydra.launcher._target_={}", "hydra.launcher._target_="),
    ("-m seed=0,1 hydra.sweeper._target_={}", "hydra.sweeper._target_="),
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_outside_is_refused_without_an_import(name: str) -> None:
    before = set(sys.modules)
    with pytest.raises(DigitsError, match=r"^callbacks\.x\._target_.*; try ") as caught:
        check_targets({"callbacks": {"x": {"_target_": name}}})
    assert "\n" not in str(caught.value)
    assert set(sys.modules) == before


@pytest.mark.parametrize(("command", "key"), COMMANDS, ids=[line for line, _ in COMMANDS])
def test_on_a_command_line_it_is_told_in_one_line(
    train: CommandLine, tmp_path: Path, command: str, key: str
) -> None:
    code, stdout, stderr = train(*command.format("os.system").split())
    assert (code, stdout, stderr.count("\n")) == (1, "", 1)
    assert stderr.startswith(f"error: {key}os.system is refused: ") and "; try " in stderr
    assert not any(tmp_path.iterdir())


FILES = {
    "a target": ("model", "_target_: subprocess.Popen\nargs: [touch, ran]\n"),
    "a nested target": ("model", "x:\n- _target_: subprocess.Popen\n  args: [touch, ran]\n"),
    "positional arguments": ("model", "_target_: torch.nn.Linear\n_args_: [3, 4]\n"),
    "a callback of Hydra's": (
        "experiment",
        "# @package _global_\nhydra:\n  callbacks:\n    check:\n      _target_: os.system\n"
        "      command: touch ran\n",
    ),
    "a made-up callback of Hydra's": (
        "experiment",
        "# @package _global_\nhydra:\n  callbacks:\n    x: >-\n      "
        "${oc.create:'{_target_: os.system, command: touch ran}'}\n",
    ),
    "no check": (
        "experiment",
        "# @package _global_\nhydra:\n  callbacks:\n    check: null\n",
    ),
    "a log handler": (
        "experiment",
        "# @package _global_\nhydra:\n  job_logging:\n    handlers:\n      screen:\n"
        "        class: subprocess.Popen\n        args: [touch, ran]\n",
    ),
    "a log filter": (
        "experiment",
        "# @package _global_\nhydra:\n  hydra_logging:\n    filters:\n      screen:\n"
        "        (): os.system\n        command: touch ran\n",
    ),
    "a made-up log handler": (
        "experiment",
        "# @package _global_\nhydra:\n  job_logging:\n    handlers:\n      screen: >-\n        "
        "${oc.create:'{class: subprocess.Popen, args: [touch, ran]}'}\n",
    ),
}


PARALLEL = "-m hydra/launcher=parallel seed=0,1"
IN_SWEEPS = [(content, PARALLEL) for content in ("a nested target", "a made-up log handler")]


@pytest.mark.parametrize(
    ("content", "sweep"),
    [*((content, "") for content in FILES), ("a target", "-m seed=0,1"), *IN_SWEEPS],
)
def test_in_a_file_it_is_told_in_one_line(
    train: CommandLine, tmp_path: Path, content: str, sweep: str
) -> None:
    group, text = FILES[content]
    file = tmp_path / "conf" / group / "hostile.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    flag, *overrides = sweep.split() or ("--run",)
    code, stdout, stderr = train(
        "--config-dir", str(tmp_path / "conf"), flag, *overrides, f"{group}=hostile"
    )
    assert (code, stdout, stderr.count("\n")) == (1, "", 1), stderr
    assert stderr.startswith("error: ") and "; try " in stderr
    assert [path.name for path in tmp_path.iterdir()] == ["conf"]


def test_a_jobs_own_choice_is_looked_at_before_the_sweep_begins(
    train: CommandLine, tmp_path: Path
) -> None:
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "hostile.yaml").write_text(FILES["a log handler"][1])
    flags = ("--config-dir", str(tmp_path / "conf"), "-m")
    code, _, stderr = train(*flags, "hydra/launcher=parallel", "experiment=original,hostile")
    assert (code, stderr.count("\n")) == (1, 1)
    assert "job_logging.handlers.screen.class must be a class of Python's logging" in stderr
    assert [path.name for path in tmp_path.iterdir()] == ["conf"]


ALLOWED: list[tuple[str, str]] = [
    ("data", "digits.data.datamodule.MNISTDataModule"),
    ("model", "digits.models.DropoutClassifier"),
    ("model", "digits.models.dropout.DropoutClassifier"),
    ("optim", "torch.optim.RMSprop"),
    ("optim", "torch.optim.adam.Adam"),
    ("schedule", "digits.schedules.cosine"),
    ("schedule", "torch.optim.lr_scheduler.CosineAnnealingLR"),
    ("trainer", "pytorch_lightning.Trainer"),
    ("trainer.plugins.0", "pytorch_lightning.plugins.environments.LightningEnvironment"),
    ("trainer.profiler", "pytorch_lightning.profilers.SimpleProfiler"),
    ("trainer.strategy", "pytorch_lightning.strategies.DDPStrategy"),
    ("callbacks.a", "pytorch_lightning.callbacks.early_stopping.EarlyStopping"),
    ("callbacks.a", "digits.training.checkpoints.RunCheckpoint"),
    ("logger", "pytorch_lightning.loggers.CSVLogger"),
    ("logger", "digits.training.tensorboard.TensorBoard"),
    ("model.layer", "torch.nn.Linear"),
]


@pytest.mark.parametrize(("key", "name"), ALLOWED)
def test_what_users_need_is_allowed(key: str, name: str) -> None:
    check_name(f"{key}._target_", name)
    parent, _, attribute = name.rpartition(".")
    check_found(key, name, getattr(__import__(parent, fromlist=[attribute]), attribute))


WRONG_KINDS = [
    ("model", "torch.nn.Linear"),
    ("model", "digits.training.checkpoints.RunCheckpoint"),
    ("model", "digits.models.classifier.Tensor"),
    ("optim", "torch.optim.lr_scheduler.StepLR"),
    ("optim", "digits.models.BaselineClassifier"),
    ("schedule", "torch.optim.Adam"),
    ("data", "digits.models.BaselineClassifier"),
    ("trainer", "pytorch_lightning.callbacks.Timer"),
    ("callbacks.a", "torch.nn.Linear"),
    ("logger", "pytorch_lightning.callbacks.Timer"),
    ("model.layer", "torch.nn.modules.linear.Any"),
    ("model.layer", "digits.config.sweep.OmegaConf"),
]


@pytest.mark.parametrize(("key", "name"), WRONG_KINDS)
def test_what_a_name_leads_to_must_be_of_its_groups_kind(key: str, name: str) -> None:
    values: dict[str, Any] = {"_target_": name}
    for part in reversed(key.split(".")):
        values = {part: values}
    with pytest.raises(DigitsError, match=rf"^{key}\._target_ must be .*; try ") as caught:
        check_arguments(values)
    assert "\n" not in str(caught.value)


def test_every_group_of_conf_that_is_made_has_a_kind() -> None:
    named = {
        file.parent.name
        for file in (ROOT / "conf").glob("*/*.yaml")
        if any(line.startswith("_target_: ") for line in file.read_text().splitlines())
    }
    assert named - {"augment"} <= set(KINDS)


OWN = """
from os import system
from torch.optim import Adam as ThatAdam
from digits.models import BaselineClassifier
from digits.schedules import cosine
open("imported", "w").close()
class Net(BaselineClassifier): ...
class Layer: ...
def schedule(optimizer, num_steps): ...
"""


def test_a_module_beside_the_command_is_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "targets_of_mine.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "targets_of_mine", raising=False)
    mine = "targets_of_mine"

    check_name("model._target_", f"{mine}.Net")
    with pytest.raises(DigitsError, match=f"there is no module {mine}.os"):
        check_name("model._target_", f"{mine}.os.system")
    assert not (tmp_path / "imported").exists()

    def check(key: str, name: str) -> None:
        check_arguments({key: {"_target_": f"{mine}.{name}"}})

    check("model", "Net")
    check("optim", "ThatAdam")
    check("schedule", "schedule")
    check("schedule", "cosine")
    check("somewhere", "Layer")
    with pytest.raises(DigitsError, match=r"got targets_of_mine.system, which is posix.system"):
        check("somewhere", "system")
    with pytest.raises(DigitsError, match=r"must be a digits.models.Classifier"):
        check("model", "Layer")


def test_a_file_named_as_a_module_of_python_is_not_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "installed_thing.py").touch()
    (tmp_path / "antigravity.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    assert not any(map(is_own, ("antigravity", "installed_thing", "torch", "digits", "os.path")))


@pytest.mark.parametrize("name", ["", "os", "a..b", ".a", "a.b.", "a b.c", "a.__class__", 3, []])
def test_what_is_no_dotted_name_is_told(name: Any) -> None:
    with pytest.raises(DigitsError, match=r"^model._target_ must be a dotted name"):
        check_name("model._target_", name)


def test_the_text_check_does_not_import_torch() -> None:
    code = (
        "import sys; from digits.config.targets import check_targets; "
        "check_targets({'optim': {'_target_': 'torch.optim.Adam'}}); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
