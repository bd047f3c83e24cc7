"""Around a run of `train.py`: the checks before it, one-line errors and exit codes after it.

What a run does is in `digits.training.run`, which knows nothing of Hydra or of exit codes.
"""

import copy
import json
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.singleton import Singleton
from hydra.core.utils import JobRuntime
from hydra.errors import InstantiationException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate, to_absolute_path
from hydra.version import VersionBase
from omegaconf import DictConfig, OmegaConf
from omegaconf.basecontainer import BaseContainer

from digits.config.overrides import WrongJob, check_sample, is_plain_sweep, jobs, plain
from digits.config.resolvers import register_resolvers, restart, share_start
from digits.config.targets import check_targets
from digits.errors import DigitsError, Terminated
from digits.files import relative
from digits.process import import_lightning, restored_process
from digits.run_directory import Run, find_runs, finished_metrics, read_run
from digits.sweeps.follow import check_same_sweep, failed_jobs, hold_sweep, update_leaderboard
from digits.text import train_command, typed

if TYPE_CHECKING:
    from digits.data.datamodule import MNISTDataModule
    from digits.model_file import TrainedClassifier

# The schema and the explanations of errors are imported where needed: --help does without them.

_HERE = Path(__file__).parent
CONF = _HERE / "conf" if (_HERE / "conf").is_dir() else _HERE.parents[1] / "conf"
"""config.yaml and the config groups: in the installed package, else in the repository."""

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the signal's number."""


class CheckBeforeRun(Callback):
    """The check of a command line before its run or sweep begins and anything is written.

    Hydra turns the exceptions of a callback into warnings, but lets SystemExit pass. So what is
    wrong leaves as the cause of a SystemExit, and `one_line_errors` prints it.
    """

    resume_with: ClassVar = ""
    """What resumes what this process has begun, added to its command, e.g. " with name=first"."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        from digits.config.schema import check
        from digits.training.resume import check_resumable

        _images.cache_clear()  # files may have changed since the last run of this process
        try:
            if not is_plain_sweep(config):
                sweeper = config.hydra.runtime.choices["hydra/sweeper"]
                raise DigitsError(f"hydra/sweeper={sweeper} is for sweeps; try -m")
            values, run_dir = plain(config), Path(config.hydra.run.dir)
            check(values)
            check_sample(config)
            check_resumable(run_dir, OmegaConf.create(values))
            _check_with_torch(values, run_dir)
            _note_place(config, "hydra.run.dir")
        except Exception as error:
            raise SystemExit(1) from error

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        from digits.config.schema import check
        from digits.search.space import check_search

        share_start()
        _images.cache_clear()
        try:
            # `${hydra:...}` is resolved by it; a copy, since Hydra makes it read-only.
            HydraConfig.instance().set_config(copy.deepcopy(config))
            launcher = config.hydra.runtime.choices["hydra/launcher"]
            composed = []
            loader = GlobalHydra.instance().config_loader()
            for overrides, job in jobs(config, loader):
                check(job)
                _check_single_process(job["trainer"], overrides)
                composed.append(job)
            check_search(config, loader)
            check_same_sweep(config)
            if launcher in ("basic", "joblib", "parallel"):  # others train on other machines
                for values in composed:
                    _check_with_torch(values, Path(config.hydra.sweep.dir))
            hold_sweep(config)
            _note_place(config, "hydra.sweep.dir")
        except Exception as error:
            raise SystemExit(1) from error


def command(arguments: Sequence[str], config_dir: Path) -> None:
    """Train as a process: `python train.py ARGUMENTS`, or `digits train ARGUMENTS`.

    `config_dir` has config.yaml and the config groups.
    """
    typed_argv = sys.argv

    def job(config: DictConfig) -> float:
        sys.argv = typed_argv  # with which Lightning starts the other processes of trainer=ddp
        try:
            return run_job(config)
        finally:
            sys.argv = hydras_argv

    register_resolvers()
    try:
        with one_line_errors(config_dir, arguments):
            sys.argv = hydras_argv = [sys.argv[0], *_flags_first(arguments)]
            hydra.main(version_base="1.3", config_path=str(config_dir), config_name="config")(job)()
    finally:
        sys.argv = typed_argv


def run_job(config: DictConfig) -> float:
    """Train what a single run or a job of a sweep asks for.

    Returns:
        The validation accuracy of the best checkpoint, which is what a search maximizes; NaN
        without validation images.
    """
    composed = HydraConfig.get()
    is_job = composed.mode is RunMode.MULTIRUN
    try:
        import_lightning()
        from digits.training.run import run

        values = plain(config)
        check_targets(values)
        if is_job:
            values["trainer"]["devices"] = _devices(values["trainer"], int(composed.job.num))
        if data_dir := values["data"].get("dir"):  # hydra.job.chdir, and who reads the record later
            values["data"]["dir"] = to_absolute_path(os.path.expanduser(data_dir))
        run_dir = Path(composed.runtime.output_dir)
        metrics = run(OmegaConf.create(values), run_dir, quiet=is_job)
    except Exception as error:
        from digits.config.errors import explain

        if not is_job and explain(error):  # before Hydra prints a line of its own
            raise SystemExit(1) from error
        raise
    accuracy = metrics["val/accuracy"]
    return float("nan") if accuracy is None else float(accuracy)


class TrainedRun(Run):
    """A run directory, as Python gets it: see `digits.run_directory.Run`."""

    @cached_property
    def model(self) -> "TrainedClassifier":
        """The trained network, as `digits.load` gives it."""
        from digits.model_file import load

        return load(self.dir)


def runs(folder: str | Path = "outputs") -> list[TrainedRun]:
    """Return the runs below a folder, by name, finished or not.

    Raises:
        DigitsError: there is no such folder, or no run in it.
    """
    return [TrainedRun(**vars(read_run(each))) for each in find_runs([Path(folder)])]


def train(*overrides: str, name: str | None = None, dir: str | Path | None = None) -> TrainedRun:
    """Train as `python train.py OVERRIDES` does, and return the run.

    Hydra's and torch's global state, logging and the environment are left as they were found.

    Args:
        overrides: choices and values as on the command line, e.g. "model=dropout", "seed=1".
        name: of the folder in outputs/runs; without one it is made of the time and the choices.
        dir: the run directory itself, in place of outputs/runs/NAME.

    Raises:
        DigitsError: what is wrong, in the command line's one line.
        KeyboardInterrupt: the run was interrupted; the same call with its name resumes it.
    """
    given = list(overrides)
    for key, value in (("name", name), ("hydra.run.dir", dir)):
        if value is not None:
            quoted = str(value).replace("'", "\\'")
            given.append(f"{key}='{quoted}'")
    with _hydra(given), restored_process():
        restart()
        hydra = GlobalHydra.instance().hydra
        assert hydra
        if hydra.get_mode("config", given) is RunMode.MULTIRUN:
            raise DigitsError("hydra.mode=MULTIRUN is a sweep; call digits.train once for each run")
        done = hydra.run("config", run_job, given)
        assert done.hydra_cfg
        return TrainedRun(**vars(read_run(Path(done.hydra_cfg.hydra.runtime.output_dir))))


def compose(*overrides: str) -> DictConfig:
    """Return the configuration that `train` would train with, checked and resolved."""
    from digits.config.schema import check

    with _hydra(overrides):
        composed = hydra.compose("config", list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(composed)
        values = plain(composed)
        check(values)
        check_sample(composed)
        return OmegaConf.create(values)


@contextmanager
def _hydra(overrides: Sequence[str]) -> Iterator[None]:
    """Give a call its own Hydra, check its overrides, and restore the caller's afterwards."""
    instances, resolvers = Singleton._instances, BaseContainer._resolvers
    own = (GlobalHydra, HydraConfig, JobRuntime, VersionBase)  # the rest is what is installed
    Singleton._instances = {key: each for key, each in instances.items() if key not in own}
    BaseContainer._resolvers = dict(resolvers)
    try:
        register_resolvers()
        with hydra.initialize_config_dir(str(CONF), job_name="train", version_base="1.3"):
            parser = OverridesParser.create(GlobalHydra.instance().config_loader())
            for each in overrides:
                if not isinstance(each, str) or each.startswith("-"):
                    example = 'digits.train("seed=1", "optim.lr=0.01")'
                    raise DigitsError(f"{each!r} is not a string KEY=VALUE; try {example}")
                if any(one.is_sweep_override() for one in parser.parse_overrides([each])):
                    raise DigitsError(f"{each} names several values; call once for each of them")
            yield
    except (Exception, SystemExit) as stopped:
        if isinstance(stopped.__context__, KeyboardInterrupt):  # as Lightning makes of it
            raise KeyboardInterrupt from None
        line = _line(stopped, CONF, overrides)
        raise DigitsError(line) from None
    finally:
        Singleton._instances, BaseContainer._resolvers = instances, resolvers


@contextmanager
def one_line_errors(config_dir: Path, arguments: Sequence[str]) -> Iterator[None]:
    """End the process with one line on stderr for what a user can mend, and with an exit code.

    A fault of the program keeps its traceback. Ctrl-C ends it with 130 and SIGTERM with 143.
    `config_dir` has config.yaml and the config groups, whose names are suggested; `arguments` are
    of the command line.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its exceptions on instead of printing them
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's `&` starts without it
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except KeyboardInterrupt:
        _stop(INTERRUPTED)
    except Terminated as terminated:
        _stop(int(terminated.code or 0))
    except (Exception, SystemExit) as stopped:
        if isinstance(stopped.__context__, KeyboardInterrupt):  # as Lightning makes of it
            _stop(INTERRUPTED)
        if lines := failed_jobs():
            print("\n".join(lines), file=sys.stderr)
            sys.exit(1)
        print(f"error: {_line(stopped, config_dir, arguments)}", file=sys.stderr)
        sys.exit(1)
    finally:
        signal.signal(signal.SIGTERM, before)


def _flags_first(arguments: Sequence[str]) -> list[str]:
    """Return a command line in the order in which Hydra takes it: its flags, then overrides."""
    parsed, unknown = get_args_parser().parse_known_intermixed_args(arguments)
    if unknown:
        raise DigitsError(
            f"{unknown[0]} is not a flag; KEY=VALUE has no dashes, and --hydra-help lists the flags"
        )
    flags = [each for each in arguments if each not in parsed.overrides]
    return flags + list(parsed.overrides)


def _terminate(*_: object) -> NoReturn:
    raise Terminated()


def _stop(code: int) -> NoReturn:
    with suppress(OSError, KeyboardInterrupt):  # what matters now is to end
        update_leaderboard()
    word = "interrupted" if code == INTERRUPTED else "terminated"
    print(f"{word}; run the same command{CheckBeforeRun.resume_with} to resume", file=sys.stderr)
    sys.exit(code)


def _line(stopped: BaseException, config_dir: Path, arguments: Sequence[str]) -> str:
    """Return in one line what is wrong with a command line or run, or raise what is our fault."""
    from digits.config.errors import explain, find_mistake

    # What the check before a run finds can leave Hydra only as the cause of a SystemExit.
    error = stopped.__cause__ if isinstance(stopped, SystemExit) else stopped
    if error is None:
        raise stopped
    line = explain(error)
    if line is None:
        raise error from error.__cause__
    if isinstance(error, DigitsError):
        is_placed = any(str(each).startswith("hydra.run.dir=") for each in arguments)
        return re.sub("another name(=RUN)?", "another dir", line) if is_placed else line
    flags = get_args_parser().parse_intermixed_args(arguments)
    if isinstance(error, InstantiationException) or flags.config_dir or flags.config_path:
        return line
    overrides = error.overrides if isinstance(error, WrongJob) else flags.overrides
    with suppress(Exception):  # no advice then, but what Hydra says
        name = flags.config_name or "config"
        line = find_mistake(overrides, config_dir, name, multirun=flags.multirun) or line
    return line


def _note_place(config: DictConfig, key: str) -> None:
    """Note by what a run or sweep, which may be named by its time, is resumed."""
    place = str(OmegaConf.select(config, key))
    option = f"name={config.name}" if config.name in place else f"{key}={place}"
    CheckBeforeRun.resume_with = f" with {shlex.quote(option)}"


def _check_single_process(trainer: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Refuse distributed training in a sweep: each of its processes would start the sweep again."""
    for name in ("devices", "num_nodes"):
        given = trainer.get(name, 1)
        if given != 1 and not (isinstance(given, list) and len(given) == 1):
            raise DigitsError(
                f"trainer.{name}={typed(given)} trains in several processes, which a sweep cannot "
                f"start; try its jobs one by one: {train_command()} {' '.join(overrides)}"
            )


def _devices(trainer: Mapping[str, Any], job: int) -> Any:
    """Return the devices of a sweep's job: one GPU after the other, where there are several."""
    devices = trainer.get("devices", 1)
    if devices != 1 or trainer["accelerator"] not in ("auto", "gpu", "cuda"):
        return devices
    import torch

    available = torch.cuda.device_count()
    return [job % available] if available > 1 else devices


def _check_with_torch(values: Mapping[str, Any], place: Path) -> None:
    """Check what needs torch: classes and whether they can be made, GPUs, files, weights."""
    import_lightning()
    check_targets(values)
    import torch

    accelerator = values["trainer"]["accelerator"]
    if accelerator in ("gpu", "cuda") and not torch.cuda.device_count():
        raise DigitsError(
            f"trainer.accelerator={accelerator}, but torch finds no CUDA GPU here; "
            "try trainer=cpu or trainer=auto"
        )
    # Some mistakes show only here: a missing package, a fault in the user's own network.
    from digits.training.build import make_loggers, make_model, start_from

    config = OmegaConf.create(dict(values))
    make_loggers(config, place)
    data = dict(values["data"])
    if data.get("folds") and not data.get("train_size") and data.get("dataset") != "pictures":
        data["fold"] = 0  # stands for all of them, which take a fifth of a second each
    dataset, num_classes = _images(json.dumps(data))
    finished = finished_metrics(place)
    if finished and dataset not in ("", finished["dataset"]):
        raise DigitsError(
            f"{relative(place)} was trained on other images ({finished['dataset']}) than these "
            f"({dataset}); try the same data again, or another name=RUN"
        )
    model = make_model(config, 0, num_classes)
    if config.get("init_from") and not place.exists():  # to be resumed, it is not needed
        start_from(model, Path(config.init_from))


@cache
def _images(data: str) -> tuple[str, int]:
    """Return the data set and its number of classes, once for all jobs of a sweep with the same.

    Data that needs no download is read and split, so that what is wrong with it is reported.
    Otherwise, and for the usual split of MNIST, which cannot go wrong, the name is empty.
    """
    from digits.data.datasets import VAL_SIZE, prepare

    options = json.loads(data)
    usual = {"val_size": VAL_SIZE, "train_size": None, "split": "random", "folds": None}
    datamodule: MNISTDataModule = instantiate(options)
    read = options.get("source") in ("local", "sample") or options.get("dataset") == "pictures"
    if not read and any(options.get(key) != value for key, value in usual.items()):
        with suppress(DigitsError):  # else the run downloads them
            prepare(datamodule.dir, "local", datamodule.asked_for, datamodule.split)
            read = True
    if read:
        datamodule.setup("fit")
    return datamodule.dataset, len(datamodule.classes)
