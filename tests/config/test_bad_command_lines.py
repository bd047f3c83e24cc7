"""Every wrong command line ends with one line that says what is wrong and what to type instead."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, CommandLine

UNKNOWN = [
    ("model=basline", "there is no model=basline; try model=baseline"),
    ("optim=rmsprop", "valid: adam, adamw, sgd"),
    ("optim=null", "there is no optim=null"),
    ("hydra/launcher=slrm", "try hydra/launcher=slurm"),
    ("callbacks=[default,early_stoping]", "try callbacks=early_stopping"),
    ("experiment=improvd", "try experiment=improved"),
    ("modell=baseline", "try model=baseline"),
    ("+model=dropout", "try model=dropout"),
    ("++model=dropout", "try model=dropout"),
    ("model@network=baseline", "try model=baseline"),
    ("+model@network=baseline", "network is unknown"),
    ("~model=dropout", "'model=dropout'"),
    ("optim.lrr=1", "try optim.lr=1"),
    ("lr=1", "try optim.lr=1"),
    ("+lr=1", "try optim.lr=1"),
    ("sede=3", "try seed=3"),
    ("+sede=3", "try seed=3"),
    ("++sede=3", "try seed=3"),
    ("~sede", "try ~seed"),
    ("~optim.lrr", "try ~optim.lr"),
    ("trainer.max_epoch=3", "try trainer.max_epochs=3"),
    ("trainer.max_steps=3", "or +trainer.max_steps=3 if pytorch_lightning.Trainer takes max_steps"),
    ("traner.max_epochs=3", "try trainer.max_epochs=3"),
    ("foo=3", "valid: augment, callbacks, data,"),
    ("optim.momentum=0.9", "try optim=sgd optim.momentum=0.9"),
    ("hydra.run.dirr=x", "try hydra.run.dir=x"),
    ("+norm.sdt=1", "try norm.std"),
    ("+seed=1", "try seed=1"),
    ("+data.mean=0.3", "data.mean is set from norm.mean"),
    ("~optim", "try without ~optim"),
    ("~norm.mean", "try without ~norm.mean"),
    ("+callbacks.lr=3", "try ~callbacks.lr"),
]

UNREADABLE = [
    ("optim.lr", "try optim.lr=VALUE"),
    ("dropout", "try model=dropout"),
    ("optim.lr = 3", "try optim.lr=VALUE"),
    ("optim.lr=[1", "optim.lr=[1 cannot be read"),
    ("optim.lr==1", "optim.lr==1 cannot be read"),
    ("optim.lr=0.1,0.2", "try -m optim.lr=0.1,0.2"),
    ("model.hidden=128,64", "or model.hidden=[128,64]"),
    ("data.batch_size=range(1,9)", "try -m data.batch_size=range(1,9)"),
    ("optim.lr='${learning_rate}'", "optim.lr: Interpolation key 'learning_rate' not found"),
    ("hydra.job.num=one", "hydra.job.num=one; Value 'one'"),
    ("hydra.run.dir=null", "hydra.run.dir"),
    ("--lr=3", "try optim.lr=3"),
    ("--fast", "--fast is no flag; try --help"),
    ("--cfg everything", "invalid choice: 'everything'"),
    ("--cfg job --info", "Only one of"),
    ("seed=1 -m optim.lr=1,2", "try -m seed=1 optim.lr=1,2"),
    ("--config-name other", "'other'"),
    ("--config-dir nowhere", "nowhere"),
]

VALUES = [
    ("optim.lr=-1", "optim.lr must be a number above 0, got -1; try optim.lr=0.001"),
    ("optim.lr=abc", "got abc; try optim.lr=0.001"),
    ("optim.lr=", "got ''; try optim.lr=0.001"),
    ("optim.betas=[0.9]", "a list of 2 values, each a number in [0, 1), got [0.9]"),
    ("data.batch_size=1.5", "got 1.5; try data.batch_size=64"),
    ("data.val_size=60000", "got 60000; try data.val_size=5000"),
    ("seed=4294967296", "got 4294967296; try seed=0"),
    ("test=maybe", "one of true, false, got maybe; try test=true"),
    ("resume=maybe", "one of auto, must, never, got maybe; try resume=auto"),
    ("model.hidden=[]", "got []; try model.hidden=[128,64]"),
    ("model.hidden=128", "got 128; try model.hidden=[128,64]"),
    ("model=dropout model.dropout_rate=1.0", "in [0, 1), got 1.0; try model.dropout_rate=0.2"),
    ("norm.mean=nan", "got nan; try norm.mean=0.5"),
    ("schedule=cosine schedule.warmup_rate=2", "got 2; try schedule.warmup_rate=0.1"),
    ("trainer.max_epochs=0", "got 0; try trainer.max_epochs=10"),
    ("trainer.precision=17", "got 17; try trainer.precision=32-true"),
    ("trainer=ddp trainer.strategy=foo", "got foo; try trainer.strategy=auto"),
    ("callbacks=early_stopping callbacks.early_stopping.patience=-1", "stopping.patience=5"),
    (f"name={300 * 'x'}", "(300 characters); try name=my-run"),
    ("name=a/b", "got a/b; try name=my-run"),
    ("name=", "got ''; try name=my-run"),
]

CONTRADICTIONS = [
    ("data.train_size=55000", "below the 55000 images that data.val_size=5000 leaves"),
    ("data=sample data.train_size=3500", "below the 3500 images that data.val_size=500 leaves"),
    ("optim=sgd optim.momentum=0", "optim.nesterov=true needs momentum"),
    ("+optim.foreach=true", "cannot both be true; try optim.fused=false"),
    ("schedule=onecycle schedule.warmup_rate=0", "try schedule.warmup_rate=0.3"),
    ("callbacks.checkpoint.monitor=val/acc", "try callbacks.checkpoint.monitor=val/accuracy"),
    ("callbacks.checkpoint.monitor=val/loss", "try callbacks.checkpoint.mode=min"),
]

PLACES = [
    ("hydra.run.dir=taken", "taken is a file"),
    ("hydra.run.dir=taken/run", "taken is a file"),
    ("hydra.run.dir=/proc/run", "hydra.run.dir=/proc/run cannot be written"),
    ("-m hydra.sweep.dir=taken seed=1,2", "taken is a file"),
]

SWEEPS = [
    ("-m model=baseline,dropuot", "try model=dropout"),
    ("-m optim.lr=0.1,-1", "got -1; try optim.lr=0.001"),
    ("-m optim.lrr=0.1,0.2", "try optim.lr="),
    ("-m seed=range(-1,2)", "got -1; try seed=0"),
    ("-m model=glob(x*)", "model=glob(x*) names no value"),
    ("model.dropout_rate=0.5", "try model=dropout model.dropout_rate=0.5"),
    ("-m optim=sgd,adam optim.momentum=0.8,0.9", "no key of optim=adam, but of optim=sgd"),
    ("-m optim.lr=interval(-1,1)", "got -1.0; try optim.lr=0.001"),
    ("-m seed=range(100) optim.lr=0.1,0", "got 0; try optim.lr=0.001"),
]

TABLE = UNKNOWN + UNREADABLE + VALUES + CONTRADICTIONS + PLACES + SWEEPS


@pytest.mark.parametrize(("command", "expected"), TABLE, ids=[line[:60] for line, _ in TABLE])
def test_a_wrong_command_line_ends_with_one_line(
    train: CommandLine, tmp_path: Path, command: str, expected: str
) -> None:
    (tmp_path / "taken").touch()

    code, stdout, stderr = train(*shlex.split(command))

    assert code == 1
    assert stderr.startswith("error: ")
    assert stderr.count("\n") == 1
    assert expected in stderr
    assert stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["taken"], "a run directory was made"


ARGUMENTS = [
    ("+optim.lrr=1", "torch.optim.Adam takes no lrr; try optim.lr=1"),
    ("++optim.lrr=1", "torch.optim.Adam takes no lrr; try optim.lr=1"),
    ("+model.dropout_rate=0.2", "BaselineClassifier takes no dropout_rate; valid: compile, "),
    ("+trainer.max_stepz=9", "try trainer.max_steps=9"),
    ("model._target_=digits.models.BaslineClassifier", "try model._target_=digits.models.Base"),
    ("model._target_=no_such_package.Network", "cannot be imported"),
    ("-m +optim.lrr=1,2", "torch.optim.Adam takes no lrr"),
    ("trainer=gpu", "try trainer=cpu or trainer=auto"),
    ("data.source=local data.dir=nowhere", "or use data.source=download, or data=sample"),
    ("-m data.source=local data.dir=nowhere seed=1,2", "nowhere lacks train-images"),
]


@pytest.mark.parametrize(("command", "expected"), ARGUMENTS, ids=[line for line, _ in ARGUMENTS])
def test_what_a_class_does_not_take_is_known_before_the_run(
    train: CommandLine,
    tmp_path: Path,
    command: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)

    code, _, stderr = train(*command.split())

    assert (code, stderr.count("\n")) == (1, 1)
    assert expected in stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["model=basline", "optim.lr=-1", "-m optim.lr=0.1,-1"])
def test_as_a_process_of_its_own_it_ends_without_importing_torch(
    tmp_path: Path, command: str
) -> None:
    arguments = [sys.executable, "-X", "importtime", str(ROOT / "train.py"), *command.split()]
    ended = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    lines = ended.stderr.splitlines()
    imported = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time")}

    assert ended.returncode == 1
    assert [line[:6] for line in lines if not line.startswith("import time")] == ["error:"]
    assert "hydra" in imported
    assert not imported & {"torch", "pytorch_lightning", "numpy"}
    assert not any(tmp_path.iterdir())
