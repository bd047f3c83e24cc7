"""What every key may be: the one table of limits, which `digits.config.check` applies before a run.

A key that a composed configuration lacks is skipped, and a key that this table lacks passes: an
option of your own network is checked by the network. A star stands for any one name.
"""

from typing import NamedTuple

from digits.config.kinds import (
    FOLDER_NAME,
    TARGET,
    TEXT,
    Kind,
    any_of,
    list_of,
    number,
    one_of,
    whole,
)


class Rule(NamedTuple):
    """A key, what its value must be, and a value to try instead."""

    key: str
    kind: Kind
    remedy: str


NULL = one_of(None)
FLAG = one_of(True, False)
COUNT = whole("[1, inf)")
SEED = whole("[0, 4294967295]")
RATE = number("[0, 1)")
# As in Lightning, a whole number counts minibatches and a fraction is a share of them.
LIMIT = any_of(NULL, COUNT, number("(0, 1]"))
METRICS = tuple(f"{part}/{name}" for part in ("train", "val") for name in ("loss", "accuracy"))
PRECISIONS = ("32-true", "16-true", "16-mixed", "bf16-true", "bf16-mixed", "64-true")
STRATEGIES = ("auto", "ddp", "ddp_spawn", "ddp_notebook", "ddp_find_unused_parameters_true", "fsdp")

RULES = [
    Rule("seed", any_of(NULL, SEED), "0"),
    Rule("test", FLAG, "true"),
    Rule("resume", one_of("auto", "must", "never"), "auto"),
    Rule("name", FOLDER_NAME, "my-run"),
    Rule("data.dir", TEXT, "data"),
    Rule("data.source", one_of("auto", "local", "download", "sample"), "auto"),
    Rule("data.batch_size", COUNT, "64"),
    Rule("data.eval_batch_size", COUNT, "1000"),
    Rule("data.train_size", any_of(NULL, whole("[1, 59998]")), "null"),
    Rule("data.val_size", whole("[1, 59999]"), "5000"),
    Rule("data.split_seed", SEED, "0"),
    Rule("norm.mean", any_of(NULL, number()), "0.5"),
    Rule("norm.std", any_of(NULL, number("(0, inf)")), "0.5"),
    Rule("model.hidden", list_of(COUNT), "[128,64]"),
    Rule("model.dropout_rate", RATE, "0.2"),
    Rule("model.input_dropout_rate", RATE, "0.2"),
    Rule("model.max_norm", any_of(NULL, number("(0, inf)")), "2"),
    Rule("model.noise_std", number("[0, inf)"), "0.3"),
    Rule("model.label_smoothing", RATE, "0.1"),
    Rule("model.decay_biases", FLAG, "false"),
    Rule("model.channels", list_of(COUNT), "[24,48,96]"),
    Rule("augment.shift", number("[0, 14]"), "0"),
    Rule("augment.rotation", number("[0, 180]"), "0"),
    Rule("augment.scale", number("[0, 0.9]"), "0"),
    Rule("augment.shear", number("[0, 80]"), "0"),
    Rule("augment.elastic_alpha", number("[0, 1000]"), "0"),
    Rule("augment.elastic_sigma", number("[1, 28]"), "4"),
    Rule("optim.lr", number("(0, inf)"), "0.001"),
    Rule("optim.betas", list_of(RATE, length=2), "[0.9,0.999]"),
    Rule("optim.eps", number("(0, inf)"), "1e-8"),
    Rule("optim.momentum", RATE, "0.9"),
    Rule("optim.dampening", number("[0, 1]"), "0"),
    Rule("optim.nesterov", FLAG, "true"),
    Rule("optim.weight_decay", number("[0, inf)"), "0.01"),
    Rule("optim.amsgrad", FLAG, "false"),
    Rule("optim.fused", any_of(NULL, FLAG), "true"),
    Rule("optim.foreach", any_of(NULL, FLAG), "null"),
    Rule("schedule.warmup_rate", RATE, "0.1"),
    Rule("schedule.final_rate", number("[0, 1]"), "0"),
    Rule("schedule.start_divisor", number("(1, inf)"), "25"),
    Rule("schedule.end_divisor", number("(1, inf)"), "10000"),
    Rule("schedule.cycle_momentum", FLAG, "true"),
    Rule("trainer.accelerator", one_of("auto", "cpu", "gpu", "cuda", "mps"), "auto"),
    Rule("trainer.devices", any_of(COUNT, one_of("auto", -1), list_of(whole())), "1"),
    Rule("trainer.num_nodes", COUNT, "1"),
    Rule("trainer.strategy", any_of(one_of(*STRATEGIES), TARGET), "auto"),
    Rule("trainer.max_epochs", COUNT, "10"),
    Rule("trainer.max_steps", any_of(COUNT, one_of(-1)), "1000"),
    Rule("trainer.precision", one_of(*PRECISIONS, 32, 16, 64, "bf16"), "32-true"),
    Rule("trainer.deterministic", any_of(FLAG, one_of("warn")), "false"),
    Rule("trainer.gradient_clip_val", any_of(NULL, number("[0, inf)")), "1.0"),
    Rule("trainer.gradient_clip_algorithm", any_of(NULL, one_of("norm", "value")), "norm"),
    Rule("trainer.limit_train_batches", LIMIT, "10"),
    Rule("trainer.limit_val_batches", LIMIT, "10"),
    Rule("trainer.limit_test_batches", LIMIT, "10"),
    Rule("trainer.val_check_interval", LIMIT, "1.0"),
    Rule("trainer.check_val_every_n_epoch", COUNT, "1"),
    Rule("trainer.log_every_n_steps", COUNT, "1"),
    Rule("trainer.accumulate_grad_batches", COUNT, "1"),
    Rule(
        "trainer.profiler", any_of(one_of(None, "simple", "advanced", "pytorch"), TARGET), "simple"
    ),
    Rule("callbacks.*.monitor", any_of(NULL, TEXT), "val/loss"),
    Rule("callbacks.*.mode", one_of("min", "max"), "max"),
    Rule("callbacks.*.interval_s", number("[0, inf)"), "60"),
    Rule("callbacks.*.decay", RATE, "0.9"),
    Rule("callbacks.*.patience", whole(), "5"),
    Rule("callbacks.*.min_delta", number("[0, inf)"), "0.001"),
    Rule("callbacks.*.save_top_k", whole("[-1, inf)"), "1"),
    Rule("callbacks.*.save_last", any_of(NULL, FLAG, one_of("link")), "true"),
]

REQUIRED = (
    *("seed", "test", "resume", "name", "norm", "norm.mean", "norm.std", "callbacks"),
    *("data", "data._target_", "data.batch_size", "model", "model._target_"),
    *("optim", "optim._target_", "schedule", "schedule._target_", "logger", "logger._target_"),
    *("trainer", "trainer._target_", "trainer.accelerator", "trainer.max_epochs"),
)
"""What the recipe reads in every run, so that `~optim` cannot mean anything."""

ELSEWHERE = {
    "data.mean": "norm.mean",
    "data.std": "norm.std",
    "data.seed": "seed",
    "model.seed": "seed",
    "model.optimizer": "optim",
    "model.schedule": "schedule",
    "model.accumulate_grad_batches": "trainer.accumulate_grad_batches",
    "model.gradient_clip_val": "trainer.gradient_clip_val",
    "model.gradient_clip_algorithm": "trainer.gradient_clip_algorithm",
    "trainer.callbacks": "callbacks",
    "trainer.logger": "logger",
    "trainer.default_root_dir": "hydra.run.dir",
}
"""Arguments that the recipe sets from another key."""

CLOSED: dict[str, tuple[str, ...]] = {"norm": ("mean", "std"), "debug": ()}
"""Groups that no class takes the keys of, and so no class refuses a wrong one."""
