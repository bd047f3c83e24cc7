"""The run directory: what a run leaves behind, read and written in one place.

A run is a folder with these files:

    .hydra/          the configuration, the choices and the overrides that it was composed from
    status.json      how far it has come, why it ended, and the configuration that it trains with
    checkpoints/     best.ckpt by validation accuracy, last.ckpt to resume from
    metrics.csv      a row an epoch
    model.pt         the trained model
    predictions.npz  the answer to each test image; of an untested run, to each validation image
    metrics.json     the results: one flat object, accuracies as fractions, losses in nats

Everything that reports on runs (`digits compare`, leaderboards, searches) reads them here, without
torch.
"""

import csv
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from digits.errors import DigitsError
from digits.files import flat, relative, whole_file, write_atomically
from digits.text import csv_table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

STATUS, METRICS, HISTORY = "status.json", "metrics.json", "metrics.csv"
MODEL, PREDICTIONS, CURVES = "model.pt", "predictions.npz", "loss_curves.png"
BEST, LAST = Path("checkpoints", "best.ckpt"), Path("checkpoints", "last.ckpt")

FILES = (STATUS, METRICS, HISTORY, MODEL, PREDICTIONS, CURVES, BEST, LAST)
"""What a run writes, and replaces when it is resumed."""

RUNNING, FINISHED, FAILED, STOPPED, PRUNED = "running", "finished", "failed", "stopped", "pruned"
"""The words of status.json. A run that is "running" though nobody holds its lock was killed."""
DAMAGED, UNREADABLE = "damaged", "unreadable"
"""The status of a run whose files are not what they should be, or may not be read."""

NO_EFFECT = (
    *("name", "test", "resume", "threads", "debug", "logger", "hydra", "data.dir", "data.source"),
    *("data.mirrors", "trainer.accelerator", "trainer.profiler", "trainer.enable_progress_bar"),
    "trainer.enable_model_summary",
    *("callbacks.last", "callbacks.pruning", "callbacks.stop", "callbacks.checkpoint.filename"),
)
"""Options (and all below them) that change no result: a run may be resumed with other values of
them, and runs that differ in them are compared as one. `debug` holds nothing by itself, and what
`data.source` led to is in metrics.json as the dataset."""

MEMBER = ("seed", "data.fold")
"""Options that tell the runs of a group apart."""

FORMER_DEFAULTS = {
    **{"data.split": "random", "data.dataset": "mnist"},
    "augment.erase": 0.0,
    **{"model.vat_epsilon": 0.0, "model.exact_batch_norm": False},
    **{"model.kernel_size": 3, "model.convolutions": 2, "model.pool": False, "model.dense": 0},
}
"""Options that older runs lack, and what they did: with it, runs are the same as those."""

_MAX_DEPTH = 4  # outputs/sweeps/SWEEP/RUN is three below outputs
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C ten times as fast


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a run answered on each of n images: true class, most probable one, probability.

    They are all test images or, of a run that is not tested, the training images of `indices`.
    """

    labels: "npt.NDArray[np.uint8]"
    predicted: "npt.NDArray[np.uint8]"
    confidence: "npt.NDArray[np.float16]"
    indices: "npt.NDArray[np.uint16] | None" = None

    @property
    def correct(self) -> "npt.NDArray[np.bool_]":
        """Whether each image was classified correctly, (n,)."""
        correct: npt.NDArray[np.bool_] = self.labels == self.predicted
        return correct


@dataclass(frozen=True, eq=False)
class Run:
    """A run, finished or not, as its directory describes it.

    Attributes:
        status: one of the words of status.json, or "" before it has begun.
        reason: why it failed, was stopped or pruned, or what is damaged, in one line.
        config: the configuration that it trains with, as plain values.
        choices: the option of each config group; empty if that is not known.
        overrides: what its command line said, e.g. ["optim.lr=0.1"].
        metrics: metrics.json of a finished run, else empty.
        made_with: code, packages and machine, see `digits.training.status`.
    """

    dir: Path
    status: str = ""
    reason: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=dict)
    overrides: Sequence[str] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    made_with: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:  # in a notebook, where all fields would be a page
        return f"{type(self).__name__}({str(self.dir)!r}, {self.status!r})"

    @property
    def is_finished(self) -> bool:
        """Whether it came to its end, with a model and results."""
        return bool(self.metrics)

    @property
    def seed(self) -> int:
        """What weights, order of the images and dropout were drawn with."""
        return int(self.metrics.get("seed", 0))

    @property
    def fold(self) -> int | None:
        """Which fold of a cross-validation it was validated on; `None`: it is not part of one."""
        return self.metrics.get("fold")

    @property
    def val_accuracy(self) -> float | None:
        """A fraction; `None` if it is not finished or had no validation images."""
        return self.metrics.get("val/accuracy")

    @property
    def test_accuracy(self) -> float | None:
        """A fraction; `None` if it is not finished or was not tested."""
        return self.metrics.get("test/accuracy")

    @property
    def val_images(self) -> tuple[Any, ...]:
        """Equal for runs that were validated on the same images, or on folds of the same ones."""
        if self.fold is not None:
            how = ("data.folds", "data.split", "data.split_seed")
            return self.metrics.get("dataset"), *(self.options.get(key) for key in how)
        return tuple(self.metrics.get(key) for key in ("dataset", "val_split_sha256", "num_val"))

    @property
    def overridden(self) -> list[str]:
        """The dotted keys and config groups that its command line named."""
        return [line.lstrip("+~").partition("=")[0] for line in self.overrides]

    @cached_property
    def options(self) -> dict[str, Any]:
        """What runs of one group agree in: options that change results, dataset, first weights."""
        found = _effective(self.config) | {"dataset": self.metrics.get("dataset")}
        if weights := self.metrics.get("init_from"):
            found["init_from"] = weights  # in place of the file's name
        return found

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """A row an epoch, by the columns of metrics.csv, e.g. for `pandas.DataFrame`."""
        return read_history(self.dir) if (self.dir / HISTORY).exists() else []

    @cached_property
    def predictions(self) -> Predictions:
        """What it answered on each test image or, if it is not tested, validation image."""
        return read_predictions(self.dir)


def read_run(run_dir: Path) -> Run:
    """Read a run directory; what is damaged in it becomes the reason of a "damaged" run."""
    try:
        status = read_status(run_dir)
        written = _read_yaml(run_dir / ".hydra" / "config.yaml")
        overrides = [str(line) for line in _read_yaml(run_dir / ".hydra" / "overrides.yaml")]
        choices = read_choices(run_dir)
    except DigitsError as error:
        if isinstance(error.__cause__, PermissionError):
            return Run(run_dir, UNREADABLE, str(error))
        return Run(run_dir, DAMAGED, f"{error}; run the same command again without that file")
    config = status.get("config") or written
    trained, values = _effective(config), _effective(written)
    if any("${" not in str(value) and trained.get(key) != value for key, value in values.items()):
        choices, overrides = {}, []  # Hydra also writes .hydra for a command that is then refused
    if lengthened := status.get("lengthened"):  # a schedule over other epochs is other training
        config = {**config, "lengthened_from": lengthened}
    word, reason = (" ".join(str(status.get(key, "")).split()) for key in ("status", "reason"))
    metrics = finished_metrics(run_dir) or {}
    if word == FINISHED and not metrics:
        word = DAMAGED
        reason = f"{MODEL} or {METRICS} is missing or damaged; run the same command again"
    made_with = dict(status.get("made_with") or {})
    return Run(run_dir, word, reason, config, choices, overrides, metrics, made_with)


def changes_result(key: str) -> bool:
    """Return whether an option, by its dotted key, can change a result."""
    return not f"{key}.".startswith(tuple(f"{each}." for each in NO_EFFECT))


def _effective(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that can change a result, without nulls, seed and fold, by dotted keys."""
    found, unused = {}, set(MEMBER)
    data = config.get("data") or {}
    if data.get("folds"):
        unused.add("data.val_size")
    elif data.get("val_size") == 0:  # all images are trained on, unless only some are drawn
        unused |= {"data.split"} if data.get("train_size") else {"data.split", "data.split_seed"}
    for key, value in flat(config):
        if value in (None, FORMER_DEFAULTS.get(key)) or key in unused or not changes_result(key):
            continue
        if key.endswith("_target_") and str(value).startswith("digits."):
            value = value.rpartition(".")[2]  # its module may be another one in a release
        if key == "trainer.devices" and isinstance(value, list) and len(value) == 1:
            value = 1  # whichever GPU a job of a sweep has had
        found[key] = value
    return found


def finished_metrics(run_dir: Path) -> dict[str, Any] | None:
    """Return metrics.json if the run is finished, else `None`.

    Finished means that its status says so, its model exists and its results can be read.
    """
    try:
        if read_status(run_dir).get("status") == FINISHED and (run_dir / MODEL).exists():
            return read_json(run_dir / METRICS)
    except DigitsError:
        pass
    return None


def is_run_dir(folder: Path) -> bool:
    """Return whether a folder holds a run, finished or not."""
    return any((folder / file).exists() for file in (STATUS, METRICS, ".hydra/config.yaml"))


def check_place(run_dir: Path) -> None:
    """Refuse a folder in which a run's files would be mixed with others.

    Raises:
        DigitsError: it is not empty and not a run directory.
    """
    found = [name for name in FILES if (run_dir / name).exists()]
    # Other programs have a status.json or a .hydra, too.
    own = (
        "status" in read_status(run_dir)
        or {"norm", "resume"} <= _read_yaml(run_dir / ".hydra" / "config.yaml").keys()
    )
    others = [each.name for each in run_dir.glob("[!.]*")]
    if (found or others) and not own:
        raise DigitsError(
            f"{relative(run_dir)} holds {[*found, *others][0]} and is not a run directory; "
            "try another folder"
        )


def find_runs(folders: Sequence[Path]) -> list[Path]:
    """Return the run directories that are among the folders or below them, each once.

    They come in the order of the folders, and within one by their numbers and names.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise DigitsError(f"{folder} is not a folder; try a run or sweep directory")
        below = list(search(folder))
        if not below:
            raise DigitsError(f"{folder} contains no run; try a run or sweep directory")
        for path in below:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def search(folder: Path, depth: int = _MAX_DEPTH) -> Iterator[Path]:
    """Yield the run directories that are a folder or below it: 2_sgd comes before 10_adam."""
    if is_run_dir(folder):
        yield folder
    elif depth:
        folders = [each for each in folder.iterdir() if each.is_dir() and each.name[0] != "."]
        for each in sorted(folders, key=_by_number):
            yield from search(each, depth - 1)


def _by_number(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def read_status(run_dir: Path) -> dict[str, Any]:
    """Read status.json; an empty dictionary if it is not there."""
    path = run_dir / STATUS
    return read_json(path) if path.exists() else {}


def write_status(run_dir: Path, status: Mapping[str, Any]) -> None:
    """Write status.json."""
    write_atomically(run_dir / STATUS, json.dumps(status, indent=1) + "\n")


def write_metrics(run_dir: Path, metrics: Mapping[str, Any]) -> None:
    """Write metrics.json: one flat object, accuracies as fractions, losses in nats."""
    write_atomically(run_dir / METRICS, json.dumps(metrics, indent=2) + "\n")


def write_history(
    run_dir: Path, rows: Sequence[Mapping[str, float]], columns: Sequence[str]
) -> None:
    """Write metrics.csv, a row an epoch."""
    cells = ([row.get(name) for name in columns] for row in rows)
    write_atomically(run_dir / HISTORY, csv_table(columns, cells))


def read_history(run_dir: Path) -> list[dict[str, float]]:
    """Read metrics.csv, a row an epoch; what was not measured is left out of a row."""
    path = run_dir / HISTORY
    with _reading(path), path.open(newline="", encoding="utf-8") as file:
        return [
            {name: float(value) for name, value in row.items() if value}
            for row in csv.DictReader(file)
        ]


def write_predictions(run_dir: Path, predictions: Predictions) -> None:
    """Write predictions.npz, about 20 kB for 10,000 images."""
    import numpy as np

    with whole_file(run_dir / PREDICTIONS) as temporary:
        given = {key: value for key, value in vars(predictions).items() if value is not None}
        np.savez_compressed(temporary, **given)


def read_predictions(run_dir: Path) -> Predictions:
    """Read predictions.npz."""
    import numpy as np  # takes a tenth of a second, which a wrong command line need not wait for

    path = run_dir / PREDICTIONS
    # By its path, numpy would leave a damaged file open.
    with _reading(path), path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        names = ("labels", "predicted", "confidence")
        return Predictions(**{name: arrays[name] for name in names}, indices=arrays.get("indices"))


def read_choices(run_dir: Path) -> dict[str, str]:
    """Read the option of each config group, e.g. {"model": "dropout"}; empty if not known."""
    found = _read_yaml(run_dir / ".hydra" / "hydra.yaml")
    chosen = found["hydra"]["runtime"]["choices"] if found else {}
    return {group: str(option) for group, option in chosen.items() if option and "/" not in group}


def read_json(path: Path) -> dict[str, Any]:
    """Read one JSON object, e.g. metrics.json."""
    with _reading(path):
        return dict(json.loads(path.read_text(encoding="utf-8")))


def _read_yaml(path: Path) -> Any:
    """Read a file of .hydra, `${...}` as it is written; an empty dictionary if it is not there."""
    if not path.exists():
        return {}
    with _reading(path):
        return yaml.load(path.read_text(encoding="utf-8"), _Loader) or {}


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Make one `DigitsError` of all that a missing or damaged file leads to."""
    try:
        yield
    except FileNotFoundError:
        raise DigitsError(f"{path.name} is missing") from None
    except PermissionError as error:
        raise DigitsError(f"{path.name} cannot be read ({error.strerror})") from error
    except Exception:  # each format's reader raises whatever the bytes make it stumble over
        raise DigitsError(f"{path.name} is damaged") from None


def is_first_process() -> bool:
    """Return whether this process prints and writes, of all that train together."""
    # Lightning, torchrun and SLURM each number the processes that they start.
    numbers = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in numbers)


@contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Keep a run directory for this process and those that it trains with, or raise."""
    from filelock import FileLock, Timeout

    if not is_first_process():
        yield
        return
    lock = FileLock(run_dir / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise DigitsError(
            f"{relative(run_dir)} is in use by another process; wait for it, "
            "or try another name=RUN"
        ) from None
    try:
        yield
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)
