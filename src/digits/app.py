"""Around a run of `train.py`: the checks before it, one-line errors and exit codes after it.

What a run does is in `digits.training.run`, which knows nothing of Hydra or of exit codes.
"""

import argparse
import copy
import json
import logging
import os
import shlex
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.singleton import Singleton
from hydra.core.utils import JobRuntime
from hydra.errors import HydraException, InstantiationException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate, to_absolute_path
from hydra.version import VersionBase
from omegaconf import DictConfig, OmegaConf
from omegaconf.basecontainer import BaseContainer
from omegaconf.errors import OmegaConfBaseException

from digits.config.overrides import WrongJob, check_choices, jobs, plain, values
from digits.config.resolvers import register_resolvers, restart, share_start
from digits.config.targets import check_names, check_targets, up_to_date
from digits.errors import DigitsError, Terminated
from digits.process import import_lightning, torch_threads
from digits.run_directory import Run, find_runs, read_run
from digits.sweeps.follow import check_same_sweep, failed_jobs, hold_sweep, update_leaderboard
from digits.text import train_command, typed

if TYPE_CHECKING:
    from digits.model_file import TrainedClassifier

# The schema and the explanations of errors are imported where they are needed: --help is not.

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
        from digits.training.resume import check_resumable

        try:
            sweeper = config.hydra.runtime.choices["hydra/sweeper"]
            if sweeper != "basic":
                raise DigitsError(
                    f"hydra/sweeper={sweeper} is for sweeps; try -m, first on the line"
                )
            loader = GlobalHydra.instance().config_loader()
            check_choices(config, loader)
            values = _checked(plain(config))
            _check_place("hydra.run.dir", Path(config.hydra.run.dir))
            check_resumable(Path(config.hydra.run.dir), OmegaConf.create(values))
            _check_with_torch(values, Path(config.hydra.run.dir))
            _note_place(config, "hydra.run.dir")
        except Exception as error:
            raise SystemExit(1) from error

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        from digits.search.space import check_search

        share_start()
        try:
            # `${hydra:...}` is resolved by it; a copy, since Hydra makes it read-only.
            HydraConfig.instance().set_config(copy.deepcopy(config))
            launcher = config.hydra.runtime.choices["hydra/launcher"]
            if launcher in ("slurm", "submitit_slurm") and shutil.which("srun") is None:
                raise DigitsError(
                    f"hydra/launcher={launcher} needs a SLURM cluster, and there is no srun on "
                    "PATH; try hydra/launcher=basic"
                )
            composed = []
            loader = GlobalHydra.instance().config_loader()
            check_choices(config, loader)
            for overrides, job in jobs(config, loader):
                composed.append(_checked(job))
                _check_single_process(composed[-1]["trainer"], overrides)
            check_search(config, loader)
            _check_place("hydra.sweep.dir", Path(config.hydra.sweep.dir))
            check_same_sweep(config)
            # The processes of another launcher import torch, and check this themselves.
            lines = config.hydra.overrides.task
            if launcher == "basic" or any(line[0] == "+" or "_target_" in line for line in lines):
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
    typed_argv, hydras_argv = sys.argv, [sys.argv[0], *arguments]

    def job(config: DictConfig) -> float:
        sys.argv = typed_argv  # with which Lightning starts the other processes of trainer=ddp
        try:
            return run_job(config)
        finally:
            sys.argv = hydras_argv

    register_resolvers()
    sys.argv = hydras_argv
    try:
        with one_line_errors(config_dir):
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

        values = up_to_date(plain(config))
        check_targets(values)
        if is_job:
            values["trainer"]["devices"] = _devices(values["trainer"], int(composed.job.num))
        if data_dir := values["data"].get("dir"):  # hydra.job.chdir, and who reads the record later
            values["data"]["dir"] = to_absolute_path(os.path.expanduser(data_dir))
        run_dir = Path(composed.runtime.output_dir)
        metrics = run(OmegaConf.create(values), run_dir, quiet=is_job)
    except SystemExit as left:
        # In code of the user's; Hydra would drop the sweep's other jobs. submitit leaves like this.
        by_signal = isinstance(left, Terminated) or isinstance(left.__context__, KeyboardInterrupt)
        if is_job and not by_signal and "SUBMITIT_EXECUTOR" not in os.environ:
            raise DigitsError(f"a job called sys.exit({left.code})") from left
        raise
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


def find(folder: str | Path) -> list[TrainedRun]:
    """Return the runs below a folder, by name, finished or not.

    Raises:
        DigitsError: there is no such folder, or no run in it.
    """
    folders = [Path(folder)]
    return [TrainedRun(**vars(read_run(each))) for each in find_runs(folders)]


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
    _check_strings(given)
    for key, value in (("name", name), ("hydra.run.dir", dir)):
        if value is not None:
            quoted = str(value).replace("'", "\\'")
            given.append(f"{key}='{quoted}'")
    with _hydra(given), _process_as_found():
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
    _check_strings(overrides)
    with _hydra(overrides):
        composed = hydra.compose("config", list(overrides), return_hydra_config=True)
        check_choices(composed, GlobalHydra.instance().config_loader())
        HydraConfig.instance().set_config(composed)
        return OmegaConf.create(_checked(plain(composed)))


def _check_strings(overrides: Sequence[Any]) -> None:
    for each in overrides:
        if not isinstance(each, str):
            example = 'digits.train("seed=1", "optim.lr=0.01")'
            raise DigitsError(f"{each!r} is not a string KEY=VALUE; try {example}")


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
                if each.startswith("-"):
                    raise DigitsError(f"{each} is for the command line; leave it out")
                for override in parser.parse_overrides([each]):
                    if override.is_sweep_override():
                        first = (*values(override), "KEY=VALUE")[0]
                        raise DigitsError(f"{each} names several values; call once each: {first}")
            yield
    except (Exception, SystemExit) as stopped:
        if isinstance(stopped.__context__, KeyboardInterrupt):  # as Lightning makes of it
            raise KeyboardInterrupt from None
        line = _line(stopped, CONF, overrides)
        raise DigitsError(line) from None
    finally:
        Singleton._instances, BaseContainer._resolvers = instances, resolvers


@contextmanager
def _process_as_found() -> Iterator[None]:
    """Give back at the end what a run sets for its process: of torch, logging, the environment."""
    environment = dict(os.environ)
    import_lightning()
    import torch
    from pytorch_lightning.utilities.seed import isolate_rng

    cudnn = torch.backends.cudnn
    loggers = [logging.getLogger(each) for each in ("", "hydra", "pytorch_lightning")]
    loggers.append(logging.getLogger("lightning_fabric"))
    logged = [(each, each.level, each.propagate, each.handlers[:]) for each in loggers]
    handlers = vars(logging)["_handlerList"]  # which a new configuration of logging closes
    known, handlers[:] = handlers[:], []
    with ExitStack() as restored, torch_threads(), warnings.catch_warnings():
        restored.callback(torch.set_default_dtype, torch.get_default_dtype())
        restored.callback(
            torch.use_deterministic_algorithms,
            torch.are_deterministic_algorithms_enabled(),
            warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
        )
        for flag in ("benchmark", "deterministic"):
            restored.callback(setattr, cudnn, flag, getattr(cudnn, flag))
        drawn = isolate_rng()
        drawn.__enter__()
        restored.callback(drawn.__exit__, None, None, None)  # after an exception, too
        try:
            yield
        finally:
            for logger, level, propagate, before in logged:
                for handler in set(logger.handlers) - set(before):
                    handler.close()
                logger.handlers[:], logger.propagate = before, propagate
                logger.setLevel(level)
            handlers[:] = known
            for key in os.environ.keys() - environment.keys():
                del os.environ[key]
            os.environ.update(environment)


@contextmanager
def one_line_errors(config_dir: Path) -> Iterator[None]:
    """End the process with one line on stderr for what a user can mend, and with an exit code.

    A fault of the program keeps its traceback. Ctrl-C ends it with 130 and SIGTERM with 143.
    `config_dir` has config.yaml and the config groups, whose names are suggested.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its exceptions on instead of printing them
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's `&` starts without it
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        with _usage_in_one_line():
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
        print(f"error: {_line(stopped, config_dir, sys.argv[1:])}", file=sys.stderr)
        sys.exit(1)
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _usage_in_one_line() -> Iterator[None]:
    """Have argparse, which reads Hydra's flags, say in one line how a command line is written."""
    before = argparse.ArgumentParser.error

    def refuse(_: argparse.ArgumentParser, message: str) -> NoReturn:
        words = message.partition("unrecognized arguments: ")[2].split()
        flags = [word for word in sys.argv[1:] if word.startswith("-")]
        if words and words[0].startswith("-") and "=" in words[0]:
            message = f"{words[0]} is not a flag; try {words[0].lstrip('-')}"
        elif words and "=" in words[0] and not {*flags} - {"-m", "--multirun"}:
            line = [*flags, *(word for word in sys.argv[1:] if word not in flags)]
            message = f"flags come first; try {' '.join(line)}"
        else:
            message += "; --hydra-help lists the flags, which come first"
        raise SystemExit(1) from DigitsError(message)

    setattr(argparse.ArgumentParser, "error", refuse)  # noqa: B010
    try:
        yield
    finally:
        setattr(argparse.ArgumentParser, "error", before)  # noqa: B010


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
    # What the check before a run finds can leave Hydra only as the cause of a SystemExit.
    error = stopped.__cause__ if isinstance(stopped, SystemExit) else stopped
    if error is None:
        raise stopped
    line = _in_one_line(error, config_dir, arguments)
    if line is None:
        raise error from error.__cause__
    return line


def _in_one_line(error: BaseException, config_dir: Path, arguments: Sequence[str]) -> str | None:
    """Return in one line what is wrong with a command line or run; `None`: it is our fault."""
    from digits.config.errors import explain, find_mistake, unreadable_file

    if isinstance(error, DigitsError):
        return explain(error)
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)  # those flags of Hydra's
    parser.add_argument("overrides", nargs="*")  # that say what it composes
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--config-path", "-cp")
    parser.add_argument("--config-dir", "-cd")
    parser.add_argument("--config-name", "-cn", default="config")
    flags = parser.parse_known_args(arguments)[0]
    if line := unreadable_file(error):
        return line
    line = explain(error)
    is_told = isinstance(error, InstantiationException)
    if line is None or is_told or flags.config_dir or flags.config_path:
        return line
    overrides: Sequence[str] = error.overrides if isinstance(error, WrongJob) else flags.overrides
    with suppress(HydraException, OmegaConfBaseException):  # no advice then, but what Hydra says
        mistake = find_mistake(overrides, config_dir, flags.config_name, multirun=flags.multirun)
        line = mistake or line
    return line


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with today's names of classes, checked as far as text goes."""
    from digits.config.schema import check

    values = up_to_date(values)
    check_names(values)
    check(values)
    return values


def _note_place(config: DictConfig, key: str) -> None:
    """Note by what a run or sweep, which may be named by its time, is resumed."""
    place = str(OmegaConf.select(config, key))
    option = f"name={config.name}" if config.name in place else f"{key}={place}"
    CheckBeforeRun.resume_with = f" with {shlex.quote(option)}"


def _check_place(key: str, path: Path) -> None:
    """Make sure that a directory, which the configuration's `key` names, can be written."""
    absolute = path.absolute()
    existing = next(each for each in (absolute, *absolute.parents) if each.exists())
    try:
        # Permissions, quotas, read-only disks, root: only an attempt tells them all.
        tempfile.TemporaryDirectory(prefix=".probe-", dir=existing).cleanup()
    except OSError as error:
        raise DigitsError(f"{key}={path} cannot be written ({error.strerror})") from None


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
    """Check what needs torch: classes and their arguments, GPUs, and files that must be there."""
    import_lightning()
    check_targets(values)
    import torch

    accelerator = values["trainer"]["accelerator"]
    if accelerator in ("gpu", "cuda") and not torch.cuda.device_count():
        raise DigitsError(
            f"trainer.accelerator={accelerator}, but torch finds no CUDA GPU here; "
            "try trainer=cpu or trainer=auto"
        )
    data = values["data"]
    if data.get("source") in ("local", "sample") or data.get("dataset") == "pictures":
        _check_data(json.dumps(data))
    if (given := values.get("init_from")) and not place.exists():  # to be resumed, it is not needed
        from digits.model_file import read_model

        try:
            read_model(Path(given))
        except DigitsError as error:
            raise DigitsError(f"init_from: {error}") from None


@cache
def _check_data(options: str) -> None:
    """Read and split data that needs no download, once for all jobs of a sweep with the same."""
    instantiate(OmegaConf.create(options)).setup("fit")
