"""Every key of the configuration: what it may be, and what to try instead of a wrong value.

The default of a field is that remedy, not what a run begins with: that is in conf/. A key of a
group that is not listed here is an argument of the class that the group names, and is checked
against it (`digits.config.targets`).
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import Annotated, Any, Literal, TypeVar

import yaml
from annotated_types import Interval, Len
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from digits.config.targets import ELSEWHERE, SET_FROM, check_names, loggers
from digits.errors import DigitsError
from digits.files import MAX_NAME_LENGTH, flat, get, has, put, slug
from digits.text import nearest, similar, typed

Count = Annotated[int, Interval(ge=1)]
Index = Annotated[int, Interval(ge=0)]
Seed = Annotated[int, Interval(ge=0, le=2**32 - 1)]
Rate = Annotated[float, Interval(ge=0, lt=1)]
Share = Annotated[float, Interval(ge=0, le=1)]
Positive = Annotated[float, Interval(gt=0)]
NonNegative = Annotated[float, Interval(ge=0)]
Widths = Annotated[list[Count], Len(1)]
KernelSize = Literal[1, 3, 5, 7]
# As in Lightning, an integer counts minibatches and a fraction is a share of them.
Limit = Count | Annotated[float, Interval(gt=0, le=1)] | None
Precision = Literal[
    "32-true", "16-true", "16-mixed", "bf16-true", "bf16-mixed", "64-true", 32, 16, 64, "bf16"
]
Distributed = Literal[
    "ddp", "ddp_find_unused_parameters_true", "fsdp"  # whose processes run train.py again
]
Objective = Literal["val/accuracy", "val/loss", "num_parameters", "train_time_s"]
Text = Annotated[str, Len(1)]


def _folder_name(value: Any) -> Any:
    if not slug(str(value)) == str(value) != "":
        signs = "letters, digits or any of .,_+- (neither . nor - at an end)"
        expected = f"Input should be 1 to {MAX_NAME_LENGTH} {signs}"
        raise PydanticCustomError("folder_name", expected)
    return value


FolderName = Annotated[str | int | float, AfterValidator(_folder_name)]

Time = Annotated[str, StringConstraints(pattern=r"^\d+:\d\d:\d\d:\d\d$")]


class Group(BaseModel):
    """A part of the configuration, checked as it is: "1" is not 1, and 1 is not true."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False, frozen=True)


class Data(Group):
    """conf/data: which images, and how they are split."""

    dataset: Literal["mnist", "fashion_mnist", "kmnist", "pictures"] = "mnist"
    dir: Text = "data"
    source: Literal["auto", "local", "download", "sample"] = "auto"
    batch_size: Count = 64
    eval_batch_size: Count = 1000
    train_size: Annotated[int, Interval(ge=1, le=60_000)] | None = None
    val_size: Annotated[int, Interval(ge=0, le=59_999)] | None = 5000
    split: Literal["random", "writers"] = "random"
    split_seed: Seed = 0
    folds: Annotated[int, Interval(ge=2, le=100)] | None = 5
    fold: Index | None = 0


class Norm(Group):
    """conf/norm: how pixels are normalized; null is computed from the training images."""

    model_config = ConfigDict(extra="forbid")

    mean: float | None = 0.5
    std: Positive | None = 0.5


class Augment(Group):
    """conf/augment: how training images are changed at random."""

    shift: Annotated[float, Interval(ge=0, le=14)] = 0  # pixels
    rotation: Annotated[float, Interval(ge=0, le=180)] = 0  # degrees
    scale: Annotated[float, Interval(ge=0, le=0.9)] = 0
    shear: Annotated[float, Interval(ge=0, le=80)] = 0  # degrees
    elastic_alpha: Annotated[float, Interval(ge=0, le=1000)] = 0  # pixels
    elastic_sigma: Annotated[float, Interval(ge=1, le=28)] = 4  # pixels
    erase: Share = 0


class Model(Group):
    """conf/model: the networks of this project."""

    hidden: Widths = [128, 64]
    dropout_rate: Rate = 0.2
    input_dropout_rate: Rate = 0.2
    max_norm: Positive | None = 2
    noise_std: NonNegative = 0.3
    input_noise_std: NonNegative | None = 0.3
    vat_epsilon: NonNegative = 2
    exact_batch_norm: bool = True
    label_smoothing: Rate = 0.1
    decay_biases: bool = False
    channels: Widths = [24, 48, 96]
    kernel_size: KernelSize | Annotated[list[KernelSize], Len(1)] = 3
    convolutions: Count = 2  # in a stage
    pool: bool = False
    dense: Index = 256  # units
    compile: bool = False


class Optim(Group):
    """conf/optim: arguments of PyTorch's optimizers."""

    lr: Positive = 0.001
    betas: Annotated[list[Rate], Len(2, 2)] = [0.9, 0.999]
    eps: Positive = 1e-8
    momentum: Rate = 0.9
    nesterov: bool = True
    weight_decay: NonNegative = 0.01
    fused: bool | None = True
    foreach: bool | None = None


class Schedule(Group):
    """conf/schedule: how the learning rate changes."""

    warmup_rate: Rate = 0.1
    constant_rate: Share = 0.667
    final_rate: Share = 0
    start_divisor: Annotated[float, Interval(gt=1)] = 25
    end_divisor: Annotated[float, Interval(gt=1)] = 10_000
    cycle_momentum: bool = True
    interval: Literal["step", "epoch"] = "epoch"
    monitor: Text = "val/loss"


class Trainer(Group):
    """conf/trainer: arguments of Lightning's Trainer."""

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    devices: Count | Literal["auto", -1] | Annotated[list[Index], Len(1)] = 1
    num_nodes: Count = 1
    strategy: Literal["auto"] | Distributed | dict[str, Any] = "auto"
    max_epochs: Count = 10
    max_steps: Count | Literal[-1] = 1000
    max_time: Time | dict[str, float] | None = "00:01:00:00"
    precision: Precision = "32-true"
    deterministic: bool | Literal["warn"] = False
    gradient_clip_val: NonNegative | None = 1
    gradient_clip_algorithm: Literal["norm", "value"] | None = "norm"
    limit_train_batches: Limit = 10
    limit_val_batches: Limit = 10
    limit_test_batches: Limit = 10
    val_check_interval: Limit = 1.0
    check_val_every_n_epoch: Count = 1
    log_every_n_steps: Count = 1
    accumulate_grad_batches: Count = 1
    profiler: Literal["simple", "advanced", "pytorch"] | dict[str, Any] | None = "simple"


class CallbackOptions(Group):
    """One callback of conf/callbacks."""

    monitor: Text | None = "val/loss"
    mode: Literal["min", "max"] = "max"
    decay: Rate = 0.9
    patience: Index = 5
    min_delta: NonNegative = 0.001


class TensorBoard(Group):
    """conf/logger/tensorboard."""

    projector: bool = True


class Logger(Group):
    """conf/logger: the arguments of Lightning's loggers, and of ours."""

    tensorboard: TensorBoard = TensorBoard()


class Debug(Group):
    """conf/debug: changes other groups and has no keys of its own."""

    model_config = ConfigDict(extra="forbid")


class Configuration(Group):
    """What conf/config.yaml composes."""

    model_config = ConfigDict(extra="forbid")

    seed: Seed | None = 0
    test: bool = True
    resume: Literal["auto", "must", "never"] = "auto"
    init_from: Text | None = None
    threads: Literal["auto"] | Count = "auto"
    name: FolderName = "my-run"
    data: Data = Data()
    norm: Norm = Norm()
    augment: Augment = Augment()
    model: Model = Model()
    optim: Optim = Optim()
    schedule: Schedule = Schedule()
    trainer: Trainer = Trainer()
    callbacks: dict[str, CallbackOptions] = {}
    logger: Logger = Logger()
    debug: Debug = Debug()


class SearchOptions(Group):
    """`hydra.sweeper` of a search."""

    model_config = ConfigDict(extra="forbid")

    n_trials: Count | None = 20  # in all; null: 20, or the whole grid
    sampler: Literal["tpe", "cmaes", "gp", "random", "grid"] = "tpe"
    seed: Seed = 0  # of the sampler
    pruner: Literal["median", "hyperband"] | None = "median"
    objectives: Annotated[list[Objective], Len(1)] = ["val/accuracy"]
    n_jobs: Count | None = None  # null: as many as the launcher runs at once


WORDS = {
    r"^\w+ should ": "",
    r" after validation, not \d+": "",
    r"a valid dictionary( or instance of \w+)?": "a group of keys",
    r"a valid integer.*": "an integer",
    r"a valid boolean": "true or false",
    r"a valid string": "text",
    r"a valid ": "a ",
}
"""pydantic's words, and ours."""

REQUIRED = (
    *("seed", "test", "resume", "name", "norm", "norm.mean", "norm.std", "callbacks"),
    *("data", "data._target_", "data.batch_size", "model", "model._target_"),
    *("optim", "optim._target_", "schedule", "schedule._target_", "logger"),
    *("trainer", "trainer._target_", "trainer.accelerator", "trainer.max_epochs"),
)
"""What every run reads."""

METRICS = ("train/loss", "val/loss", "train/accuracy", "val/accuracy")
"""What our networks log once an epoch, in the order of its line."""


Checked = TypeVar("Checked", bound=Group)


def check(values: Mapping[str, Any]) -> None:
    """Check the keys and values of a composed configuration, each by itself, then together.

    Raises:
        DigitsError: the first mistake, and what to type instead.
    """
    check_names(values)
    for key in REQUIRED:
        if not has(values, key):
            group, _, name = key.rpartition(".")
            remedy = f"leave ~{key} out"
            if name == "_target_":
                remedy = f"a YAML file for {group} has a line '_target_: MODULE.CLASS'"
            raise DigitsError(f"{key} is missing, and every run needs it; {remedy}")
    for key, other in SET_FROM.items():
        if has(values, key):
            value = get(values, key)
            remedy = f"; try {other}={typed(value)}" if accepts(other, value) else ""
            raise DigitsError(f"{key} is set from {other}{remedy}")
    # The options of somebody else's network may mean something else.
    _validate(Configuration, values if _is_ours(values) else {**values, "model": {}})
    for contradiction in _contradictions(values):
        raise DigitsError(contradiction)


def read_search_options(sweeper: Mapping[str, Any]) -> SearchOptions:
    """Check the options of a search, which are `hydra.sweeper` as plain Python values.

    Raises:
        DigitsError: a key or value is wrong, or a package is missing.
    """
    given = {key: sweeper[key] for key in sweeper.keys() - {"_target_", "params"}}
    options = _validate(SearchOptions, given, prefix="hydra.sweeper.")
    if find_spec("optuna") is None:
        raise DigitsError(
            "hydra/sweeper=optuna needs the package optuna, which is not installed; "
            "try pip install 'digits[search]'"
        )
    return options


def accepts(key: str, value: Any) -> bool:
    """Say whether a dotted key is listed here and may have this value."""
    try:
        Configuration.model_validate(put({}, {key: value}))
    except ValidationError:
        return False
    return has(Configuration().model_dump(), key)


def _validate(model: type[Checked], values: Mapping[str, Any], prefix: str = "") -> Checked:
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        # A key that nothing reads is named before a wrong value.
        errors = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    names = [str(name) for name in errors[0]["loc"]]
    while not has(values, ".".join(names)):
        names.pop()  # an item of a list, or a type of a union
    key = ".".join(names)
    given = get(values, key)
    if errors[0]["type"] == "extra_forbidden":
        siblings = sorted(get(values, ".".join(names[:-1])) if names[1:] else values)
        siblings.remove(names[-1])
        near = nearest(key, [other for other, _ in flat(values) if other != key])
        works = [other for other in near if prefix or accepts(other, given)]
        listed = f"valid: {', '.join(siblings) or 'none'}"
        listed = ELSEWHERE.get(names[0] if names[0] == "debug" else names[-1], listed)
        advice = f"try {prefix}{works[0]}={typed(given)}" if works else listed
        raise DigitsError(f"{prefix}{key} is not a key; {advice}")
    # One message for each type that a union has.
    messages = [
        _in_our_words(each["msg"])
        for each in errors
        if [str(name) for name in each["loc"][: len(names)]] == names
    ]
    expected = ", or ".join(dict.fromkeys(messages)).replace("'", "")
    default: Any = model()
    for name in names:
        default = CallbackOptions() if isinstance(default, dict) else getattr(default, name, None)
    remedy = "" if isinstance(default, Group | dict) else f"; try {prefix}{key}={typed(default)}"
    found = typed(given)
    with suppress(yaml.YAMLError):  # of a YAML file or the environment
        if isinstance(given, str) and accepts(key, value := yaml.safe_load(given)):
            found, remedy = f"{found} as text", f"; try {key}={typed(value)}"
    raise DigitsError(f"{prefix}{key} must {expected}, got {found}{remedy}")


def _in_our_words(message: str) -> str:
    for theirs, ours in WORDS.items():
        message = re.sub(theirs, ours, message)
    return message


def _contradictions(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what does not go together although each value is allowed, and a remedy."""
    data, optim = values["data"], values["optim"]
    val_size, train_size = data.get("val_size"), data.get("train_size")
    folds, fold = data.get("folds"), data.get("fold")
    if folds is None and fold is not None:
        yield f"data.fold={fold} needs data.folds; try data.folds={max(5, fold + 1)}"
    elif folds is not None and (fold is None or fold >= folds):
        numbers = ",".join(map(str, range(folds)))
        given = f"data.fold={fold}" if fold is not None else "no data.fold"
        expected = f"data.folds={folds} has the folds 0 to {folds - 1}"
        yield f"{expected}, got {given}; try -m data.fold={numbers}"
    has_writers = data.get("dataset", "mnist") == "mnist" and data.get("source") != "sample"
    if data.get("split") == "writers" and not has_writers:
        yield "data.split=writers is for MNIST, whose writers are known; try data.split=random"
    is_read_before = data.get("dataset") == "pictures" or data.get("source") == "sample"
    of_known_size = not is_read_before and folds is None
    if val_size is not None and train_size is not None and of_known_size:
        left = 60_000 - val_size
        if train_size > left:
            yield (
                f"data.train_size must be at most {left}, the images that data.val_size={val_size} "
                f"leaves, got {train_size}; try data.train_size=null for all of them"
            )
    if optim.get("nesterov") and not optim.get("momentum"):
        yield "optim.nesterov=true needs momentum, got optim.momentum=0; try optim.nesterov=false"
    yield from _wrong_monitors(values)


def _wrong_monitors(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what looks at a metric that nobody measures, or takes its worst value for the best."""
    callbacks = {f"callbacks.{name}": each for name, each in values["callbacks"].items()}
    for key, each in (callbacks | loggers(values["logger"])).items():
        if not isinstance(each, Mapping) or not isinstance(each.get("_target_"), str):
            yield f"{key} has no _target_, which says what it is; leave {key} out"
    keeps_none = values["data"].get("val_size") == 0 and values["data"].get("folds") is None
    watching = callbacks
    if str(values["schedule"]["_target_"]).endswith(".ReduceLROnPlateau"):
        watching = {"schedule": {"monitor": "val/loss", **values["schedule"]}} | callbacks
    for key, each in watching.items():
        target, monitor = str(each["_target_"]), each.get("monitor")
        kind = target.rpartition(".")[2]
        looks_at = "validation" if kind == "Pruning" else str(monitor)
        # Without validation images, best.ckpt is the last epoch's.
        if keeps_none and looks_at.startswith("val") and kind != "RunCheckpoint":
            yield (
                f"{key} looks at {looks_at}, and data.val_size=0 keeps none of the images for "
                "validation; try data.val_size=null"
            )
        if monitor is None:
            continue
        # A network of the user's own may log other metrics.
        if _is_ours(values) and monitor not in METRICS:
            near = [*similar(monitor, METRICS), METRICS[-1]][0]
            expected = f"{key}.monitor must be one of {', '.join(METRICS)}"
            yield f"{expected}, got {typed(monitor)}; try {key}.monitor={near}"
        default = "min" if target.startswith(("pytorch_lightning.", "torch.")) else None
        mode = each.get("mode", default)
        best = {"accuracy": "max", "loss": "min"}.get(monitor.rpartition("/")[2])
        if mode and best and mode != best:
            remedy = f"{'' if 'mode' in each else '+'}{key}.mode={best}"
            yield f"{key}.mode={mode} would choose the worst {monitor}; try {remedy}"


def _is_ours(values: Mapping[str, Any]) -> bool:
    return str(get(values, "model._target_")).startswith("digits.")
