"""Every wrong command line ends with one line that says what is wrong; what it advises works."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from digits.config.overrides import plain, values
from digits.config.resolvers import register_resolvers
from digits.config.schema import check
from digits.config.targets import check_targets

ROOT = Path(__file__).parents[2]

NAMES = [
    ("model=basline", "model=basline does not exist; try model=baseline"),
    ("optim=rmsprop", "valid: adam, adamw, sgd"),
    ("optim=null", "optim=null does not exist"),
    ("hydra/launcher=slrm", "try hydra/launcher=slurm"),
    ("callbacks=[default,early_stoping]", "try callbacks=early_stopping"),
    ("experiment=improvd", "try experiment=improved"),
    ("modell=baseline", "try model=baseline"),
    ("+model=dropout", "try model=dropout"),
    ("+model@network=baseline", "network is not a key"),
    ("~model=dropout", "'model=dropout'"),
    ("optim.lrr=1", "optim.lrr is not a key of optim=adam; try optim.lr=1"),
    ("lr=1", "try optim.lr=1"),
    ("sede=3", "sede is not a key of the configuration; try seed=3"),
    ("+sede=3", "try seed=3"),
    ("trainer.max_epoch=3", "try trainer.max_epochs=3"),
    ("trainer.max_steps=3", "try +trainer.max_steps=3"),
    ("trainer.fast_dev_run=true", "trainer.profiler; + adds another argument of its class"),
    ("traner.max_epochs=3", "try trainer.max_epochs=3"),
    ("train=false", "train is not a key of the configuration; valid: augment,"),
    ("device=cpu", "device is not a key of the configuration; valid: augment,"),
    ("tags=[a]", "tags is not a key of the configuration; valid: augment,"),
    ("optim.momentum=0.9", "not a key of optim=adam; try optim=sgd optim.momentum=0.9"),
    ("model.dropout_rate=0.5", "try model=dropout model.dropout_rate=0.5"),
    ("hydra.run.dirr=x", "try hydra.run.dir=x"),
    ("+norm.sdt=1", "try norm.std"),
    ("+seed=1", "try seed=1"),
    ("+data.mean=0.3", "data.mean is set from norm.mean; try norm.mean=0.3"),
    ("+model.optimizer=adam", "model.optimizer is set from optim"),
    ("~optim", "optim is missing, and every run needs it"),
    ("~norm.mean", "norm.mean is missing"),
    ("+callbacks.lr=3", "callbacks.lr must be a group of keys, got 3"),
    ("+callbacks.lr.x=3", "callbacks.lr has no _target_, which says what it is"),
    ("+logger.foo=3", "logger.foo has no _target_, which says what it is; leave logger.foo out"),
    ("+ckpt_path=FILE", "ckpt_path is not a key; to resume a run, give its name=RUN"),
    ("ckpt_path=FILE", "to resume a run, give its name=RUN"),
    ("logger.projector=true", "try logger.tensorboard.projector=true"),
    ("logger=[tensorboard,cvs]", "logger=cvs does not exist; try logger=csv"),
]

UNREADABLE = [
    ("optim.lr", "optim.lr has no value, expected KEY=VALUE; try optim.lr=0.001"),
    ("dropout", "try model=dropout"),
    ("optim.lr = 3", "try optim.lr=0.001"),
    ("optim.lr==1", "optim.lr==1 cannot be read"),
    ("optim.lr=0.1,0.2", "try -m optim.lr=0.1,0.2"),
    ("data.folds=5 data.fold=0,1", "try -m data.fold=0,1 for a run each"),
    ("model.hidden=128,64", "names several values; try model.hidden=[128,64] for a list"),
    ("data.batch_size=range(1,9)", "try -m data.batch_size=range(1,9)"),
    ("optim.lr='${learning_rate}'", "optim.lr: Interpolation key 'learning_rate' not found"),
    ("hydra.job.num=one", "hydra.job.num=one; Value 'one'"),
    ("hydra.run.dir=null", "hydra.run.dir"),
    ("--config-name other", "'other'"),
    ("--model=dropout", "error: --model=dropout is not a flag; KEY=VALUE has no dashes"),
    (
        "'model=dropout optim=sgd'",
        "one override per argument; write 'model=dropout' and 'optim=sgd'",
    ),
    ("--config-dir nowhere", "nowhere"),
]

NONE_KEPT = "and data.val_size=0 keeps none of the images for validation; try data.val_size=null"
PLATEAU = "schedule=constant schedule._target_=torch.optim.lr_scheduler.ReduceLROnPlateau"

VALUES = [
    ("optim.lr=-1", "optim.lr must be greater than 0, got -1; try optim.lr=0.001"),
    ("optim.lr=", "got ''; try optim.lr=0.001"),
    ("optim.betas=[0.9]", "must have at least 2 items, got [0.9]; try"),
    ("data.batch_size=1.5", "must be an integer, got 1.5; try data.batch_size=64"),
    ("data.val_size=60000", "less than or equal to 59999, got 60000; try data.val_size=5000"),
    ("seed=4294967296", "got 4294967296; try seed=0"),
    ("test=maybe", "test must be true or false, got maybe; try test=true"),
    ("resume=maybe", "auto, must or never, got maybe; try resume=auto"),
    ("model.hidden=[]", "got []; try model.hidden=[128,64]"),
    ("model.hidden=128", "got 128; try model.hidden=[128,64]"),
    ("model=dropout model.dropout_rate=1.0", "less than 1, got 1.0; try model.dropout_rate=0.2"),
    ("norm.mean=nan", "got nan; try norm.mean=0.5"),
    ("schedule=cosine schedule.warmup_rate=2", "got 2; try schedule.warmup_rate=0.1"),
    ("trainer.max_epochs=0", "got 0; try trainer.max_epochs=10"),
    ("trainer.precision=17", "got 17; try trainer.precision=32-true"),
    ("trainer=ddp trainer.strategy=foo", "got foo; try trainer.strategy=auto"),
    ("trainer=ddp trainer.strategy=ddp_spawn", "got ddp_spawn; try trainer.strategy=auto"),
    ("callbacks=early_stopping callbacks.early_stopping.patience=-1", "stopping.patience=5"),
    (f"name={300 * 'x'}", "(300 characters); try name=my-run"),
    ("name=a/b", "got a/b; try name=my-run"),
    ("data.train_size=55001", "at most 55000, the images that data.val_size=5000 leaves"),
    ("data=sample data.source=local", "data.source=local reads files; try data=mnist"),
    (
        "data=kmnist data.split=writers",
        "whose writers are known; try data.split=random",
    ),
    ("data=sample data.train_size=3501", "at most 3500, the images left to train on"),
    ("data.val_size=0 callbacks=early_stopping", f"early_stopping looks at val/loss, {NONE_KEPT}"),
    (f"data.val_size=0 {PLATEAU}", f"schedule looks at val/loss, {NONE_KEPT}"),
    (
        "data.val_size=0 +callbacks.own._target_=pytorch_lightning.callbacks.ModelCheckpoint "
        "+callbacks.own.monitor=val/accuracy",
        f"callbacks.own looks at val/accuracy, {NONE_KEPT}",
    ),
    ("-m hydra/sweeper=optuna data.val_size=0 seed=0,1", f"looks at validation, {NONE_KEPT}"),
    ("data.train_size=60001 data.val_size=0", "less than or equal to 60000, got 60001"),
    ("optim=sgd optim.momentum=0", "optim.nesterov=true needs momentum"),
    (f"{PLATEAU} +schedule.monitor=val/accuracy", "the worst val/accuracy; try +schedule.mode=max"),
    ("callbacks.checkpoint.monitor=val/acc", "try callbacks.checkpoint.monitor=val/accuracy"),
    ("callbacks.checkpoint.monitor=val/loss", "try callbacks.checkpoint.mode=min"),
]

PLACES = [
    ("hydra.run.dir=taken/run", "taken/run cannot be written or read (Not a directory)"),
    ("hydra.run.dir=full", "full holds thesis.txt and is not a run directory; try another folder"),
    ("-m hydra.sweep.dir=taken seed=1,2", "taken cannot be written or read (File exists)"),
]

SWEEPS = [
    ("-m model=baseline,dropuot", "try model=dropout"),
    ("-m optim.lr=0.1,-1", "got -1; try optim.lr=0.001"),
    ("-m optim.lrr=0.1,0.2", "try optim.lr=0.1"),
    ("-m seed=range(-1,2)", "got -1; try seed=0"),
    (
        "-m hydra/sweeper=optuna hydra.sweeper.direction=maximize seed=0,1",
        "direction is not a key of the configuration; valid: hydra.sweeper.n_jobs, ",
    ),
    ("-m hydra/sweeper=optuna optim.lr=interval(1e-1,1e-4)", "`low <= high` must hold"),
    (
        "-m hydra/sweeper=optuna optim.lr=tag(log,interval(1e-1,1e-4))",
        "`low <= high` must hold",
    ),
    ("-m model=glob(x*)", "model=glob(x*) names no value"),
    ("-m optim.lr=0.1,1e-1", "optim.lr=0.1 twice"),
    ("-m optim=sgd,adam optim.momentum=0.8,0.9", "not a key of optim=adam; try optim=sgd"),
    ("-m optim=sgd,adam optim.momentum=0.9", "not a key of optim=adam; try optim=sgd"),
    ("-m optim.lr=interval(-1,1)", "got -1.0; try optim.lr=0.001"),
    ("-m seed=range(100) optim.lr=0.1,0", "got 0; try optim.lr=0.001"),
    ("-m data=mnist,sample data.source=local", "data.source=local reads files; try data=mnist"),
    ("-m trainer=ddp seed=0,1", "one by one: python train.py trainer=ddp seed=0"),
    ("-m trainer=cpu,ddp", "one by one: python train.py trainer=ddp"),
    ("-m trainer.devices=1,2", "one by one: python train.py trainer.devices=2"),
    ("-m +trainer.num_nodes=2 seed=0,1", "trainer.num_nodes=2 trains in several processes"),
]

TABLE = NAMES + UNREADABLE + VALUES + PLACES + SWEEPS


@pytest.mark.parametrize(("command", "expected"), TABLE, ids=[line[:60] for line, _ in TABLE])
def test_a_wrong_command_line_ends_with_one_line_and_what_it_advises_works(
    command_line: Callable[..., Any], tmp_path: Path, command: str, expected: str
) -> None:
    (tmp_path / "taken").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    words = shlex.split(command)

    code, stdout, stderr = command_line(*words)

    assert code == 1
    assert stderr.startswith("error: ")
    assert stderr.count("\n") == 1
    assert expected in stderr
    assert stdout == ""
    files = sorted(path.name for path in tmp_path.rglob("*"))
    assert files == ["full", "taken", "thesis.txt"], "a run directory was made"
    for remedy in remedies(stderr):
        assert_works(words, remedy)


def remedies(line: str) -> list[str]:
    """Return what a message tells one to type, without the words around it."""
    advice = line.strip().rpartition("; try ")[2] if "; try " in line else ""
    if advice.startswith("another "):
        return []
    found = []
    for each in advice.split(", or ") if advice else []:
        if "python train.py " in each:
            each = each.partition("python train.py ")[2]
        each = re.sub(r" for (a run each|a list|all of them)$", "", each).removeprefix("-m ")
        found.append(each.strip("'") if each.startswith("'") else each)
    return found


def assert_works(words: list[str], remedy: str) -> None:
    """Check the command line with the remedy in place of at most one of its words."""
    is_removal = remedy.startswith("without ")
    given = remedy.removeprefix("without ").split(" ")
    keys = {each.lstrip("+~").partition("=")[0] for each in given}
    others = [each for each in words if each.lstrip("+~").partition("=")[0] not in keys]
    given = [] if is_removal else given
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        for left_out in [None, *others]:
            lines = [each for each in others if each != left_out and "=" in each[1:]]
            with suppress(Exception):
                parsed = OverridesParser.create().parse_overrides(lines + given)
                first = [values(each)[0] for each in parsed]
                check(plain(compose("config", first, return_hydra_config=True)))
                return
    pytest.fail(f"what is advised does not work: {remedy}")


ARGUMENTS = [
    ("+optim.lrr=1", "torch.optim.Adam takes no lrr; try optim.lr=1"),
    ("+model.dropout_rate=0.2", "BaselineClassifier takes no dropout_rate; valid: compile, "),
    ("+trainer.max_stepz=9", "try trainer.max_steps=9"),
    ("model._target_=digits.models.BaslineClassifier", "try model._target_=digits.models.Base"),
    ("model._target_=no_such_package.Network", "cannot be imported; there is no module no_such_pa"),
    ("model={_target_:torch.nn.Module}", "must be a digits.models.Classifier"),
    (
        "schedule=constant schedule._target_=torch.optim.lr_scheduler.StepLR",
        "schedule: torch.optim.lr_scheduler.StepLR needs step_size; try +schedule.step_size=VALUE",
    ),
    ("-m +optim.lrr=1,2", "torch.optim.Adam takes no lrr"),
    ("resume=must name=absent", "error: resume=must, but"),
    ("trainer=gpu", "try trainer=cpu or trainer=auto"),
    ("data.source=local data.dir=nowhere", "nowhere"),
    ("-m data.source=local data.dir=nowhere seed=1,2", "nowhere"),
    ("data=sample data.val_size=4000", "try data.val_size=3999"),
    ("data=pictures data.dir=nowhere", "nowhere does not exist; try data.dir=FOLDER"),
]


@pytest.mark.parametrize(("command", "expected"), ARGUMENTS, ids=[line for line, _ in ARGUMENTS])
def test_what_only_classes_and_files_tell_is_known_before_the_run(
    command_line: Callable[..., Any],
    tmp_path: Path,
    command: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)

    code, _, stderr = command_line(*command.split())

    assert (code, stderr.count("\n")) == (1, 1)
    assert expected in stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["model=basline", "-m optim.lr=0.1,-1", "--help"])
def test_as_a_process_of_its_own_it_ends_without_importing_torch(
    tmp_path: Path, command: str
) -> None:
    arguments = [sys.executable, "-X", "importtime", str(ROOT / "train.py"), *command.split()]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    ended = subprocess.run(
        arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )

    lines = ended.stderr.splitlines()
    imported = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time")}
    others = [line for line in lines if not line.startswith("import time")]

    assert ended.returncode == (0 if command == "--help" else 1)
    assert [line[:7] for line in others] == ([] if command == "--help" else ["error: "])
    assert "hydra" in imported
    assert not imported & {"torch", "pytorch_lightning", "numpy"}
    assert not any(tmp_path.iterdir())


OPTIONS = sorted(
    file.relative_to(ROOT / "conf")
    for file in (ROOT / "conf").rglob("*.yaml")
    if len(file.relative_to(ROOT / "conf").parts) == 2
)


@pytest.mark.parametrize("file", OPTIONS, ids=map(str, OPTIONS))
def test_every_option_composes_and_names_classes_that_take_what_it_says(file: Path) -> None:
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        option = f"{file.parent}={file.stem}"
        config = plain(compose("config", [option], return_hydra_config=True))
    check(config)
    check_targets(config)


def test_help_lists_every_option_and_key(command_line: Callable[..., Any]) -> None:
    code, stdout, stderr = command_line("optim=sgd", "--help")

    assert (code, stderr) == (0, "")
    for file in OPTIONS:
        assert f"  {file.parent}=\n" in stdout
        assert f" {file.stem} " in stdout
    assert "  * sgd" in stdout
    assert "optim.momentum=0.9" in stdout
    assert "data.val_size=5000 " in stdout
    assert max(map(len, stdout.splitlines())) <= 110


@pytest.mark.parametrize("flags", ["--cfg job", "--info", "--hydra-help", "--cfg job --resolve"])
def test_hydras_own_flags_work(
    command_line: Callable[..., Any], tmp_path: Path, flags: str
) -> None:
    code, stdout, stderr = command_line(*flags.split())

    assert (code, stderr) == (0, "")
    assert stdout
    assert not any(tmp_path.iterdir())
