"""What a configuration may have called, and the names that older configurations have for it."""

import sys
from pathlib import Path
from typing import Any

import pytest

from digits.config.targets import check_names, check_targets, is_own
from digits.errors import DigitsError

STANDARD = ["os.system", "builtins.eval", "importlib.import_module", "pickle.loads"]


def at(key: str, name: Any, **arguments: Any) -> dict[str, Any]:
    """Return a configuration with nothing but a `_target_` at a dotted key."""
    values: Any = {"_target_": name, **arguments}
    for part in reversed(key.split(".")):
        values = {part: values}
    return dict(values)


@pytest.mark.parametrize("name", STANDARD)
@pytest.mark.parametrize("key", ["model", "trainer.plugins"])
def test_nothing_of_the_standard_library_is_called_or_imported(key: str, name: str) -> None:
    before = set(sys.modules)
    with pytest.raises(DigitsError, match=rf"^{key}\._target_={name} is refused: ") as caught:
        check_names(at(key, name))
    assert "\n" not in str(caught.value)
    assert set(sys.modules) == before


@pytest.mark.parametrize("name", ["", "os", "a..b", ".a", "a b.c", 3, []])
def test_what_is_not_a_dotted_name_is_refused(name: Any) -> None:
    with pytest.raises(DigitsError, match=r"^model._target_ must be a dotted name"):
        check_names(at("model", name))


def test_lightning_has_one_name_here() -> None:
    with pytest.raises(
        DigitsError, match=r"; try model\._target_=pytorch_lightning\.callbacks\.A$"
    ):
        check_names(at("model", "lightning.pytorch.callbacks.A"))


WRONG = [
    ("model", "torch.nn.Linear"),
    ("logger.mine", "pytorch_lightning.callbacks.EarlyStopping"),
    ("optim", "digits.models.BaselineClassifier"),
    ("optim", "torch.load"),
    ("schedule", "torch.optim.Adam"),
    ("model.layer", "torch.load"),
    ("model.layer", "torch.os.system"),
    ("model.layer", "digits.files.tempfile.mkdtemp"),
]


@pytest.mark.parametrize(("key", "name"), WRONG)
def test_what_a_group_makes_is_of_its_kind_and_functions_are_ours(key: str, name: str) -> None:
    with pytest.raises(DigitsError, match=rf"^{key}\._target_ must be a .*got {name}") as caught:
        check_targets(at(key, name))
    assert "\n" not in str(caught.value)


ALLOWED = [
    ("model", "digits.models.DropoutClassifier"),
    ("optim", "torch.optim.adam.Adam"),
    ("schedule", "torch.optim.lr_scheduler.CosineAnnealingLR"),
    ("trainer.plugins", "pytorch_lightning.plugins.environments.LightningEnvironment"),
    ("callbacks.a", "pytorch_lightning.callbacks.timer.Timer"),
    ("logger", "pytorch_lightning.loggers.CSVLogger"),
    ("logger.mine", "pytorch_lightning.loggers.CSVLogger"),
    ("model.layer", "torch.nn.ReLU"),
]


@pytest.mark.parametrize(("key", "name"), ALLOWED)
def test_what_users_need_is_allowed(key: str, name: str) -> None:
    check_targets(at(key, name))


def test_arguments_are_asked_of_the_class_and_what_it_inherits_from() -> None:
    check_targets(at("model", "digits.models.DropoutClassifier", hidden=[1], _partial_=True))
    with pytest.raises(DigitsError, match=r"takes no hiddn; try model.hidden=\[1,2\]$"):
        check_targets(at("model", "digits.models.DropoutClassifier", hiddn=[1, 2]))


OWN = """
from os import system
from torch.optim import Adam as ThatAdam
from digits.models import BaselineClassifier
from digits.models.schedules import cosine
class Net(BaselineClassifier): ...
class Layer: ...
def schedule(optimizer, num_steps): ...
"""


def test_a_module_beside_the_command_is_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "targets_of_mine.py").write_text(OWN)
    (tmp_path / "needs_more.py").write_text("import a_package_that_is_not_there")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "wrong.py").write_text("\nfrom torch import nothing_of_this_name")
    (tmp_path / "not_python.py").write_text("class Net\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    mine = "targets_of_mine"

    for key, name in [
        *(("model", "Net"), ("optim", "ThatAdam"), ("schedule", "schedule")),
        *(("schedule", "cosine"), ("model.layer", "Layer"), ("model.layer", "schedule")),
    ]:
        check_targets(at(key, f"{mine}.{name}"))
    with pytest.raises(DigitsError, match=r"function of your own, got targets_of_mine.system"):
        check_targets(at("model.layer", f"{mine}.system"))
    with pytest.raises(DigitsError, match=r"must be a digits.models.Classifier"):
        check_targets(at("model", f"{mine}.Layer"))
    with pytest.raises(DigitsError, match=f"cannot be imported; try model._target_={mine}.Net"):
        check_targets(at("model", f"{mine}.Nett"))
    with pytest.raises(DigitsError, match="cannot be imported; no such class exists"):
        check_targets(at("model", f"{mine}.Quite"))
    with pytest.raises(DigitsError, match=rf"there is no module no_such_module in .*{tmp_path}"):
        check_targets(at("model", "no_such_module.Net"))
    for name, told in [
        (
            "needs_more.Net",
            r"No module named 'a_package_that_is_not_there' \(needs_more.py, line 1\)",
        ),
        ("parts.wrong.Net", r"ImportError: cannot import name .* \(wrong.py, line 2\)$"),
        ("not_python.Net", r"SyntaxError: .* \(not_python.py, line 1\)$"),
    ]:
        with pytest.raises(DigitsError, match=f"{name} cannot be imported; .*{told}"):
            check_targets(at("model", name))


def test_arguments_that_a_class_lacks_are_named_unless_runs_give_them() -> None:
    stepped = "torch.optim.lr_scheduler.SequentialLR"
    with pytest.raises(DigitsError, match=r"needs schedulers, milestones; try \+schedule.sched"):
        check_targets(at("schedule", stepped))
    parts = [{"_target_": "torch.optim.lr_scheduler.ConstantLR", "_partial_": True}] * 2
    check_targets(at("schedule", stepped, schedulers=parts, milestones=[3]))
    check_targets(at("logger.csv", "pytorch_lightning.loggers.CSVLogger"))
    with pytest.raises(DigitsError, match="EarlyStopping needs monitor; try"):
        check_targets(at("callbacks.a", "pytorch_lightning.callbacks.EarlyStopping"))


def test_an_installed_module_is_not_your_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "installed_thing.py").touch()
    (tmp_path / "antigravity.py").touch()  # as a module of Python's
    (tmp_path / "beside.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    assert not any(map(is_own, ("antigravity", "installed_thing", "torch", "digits", "os.path")))
    assert is_own("beside.module")
