"""Values that are each allowed and do not go together."""

from collections.abc import Iterator, Mapping
from typing import Any

from digits.config.kinds import TARGET
from digits.text import typed
from digits.config.nearest import nearest
from digits.config.rules import METRICS

SAMPLE_VAL_SIZE = 500
"""What is kept apart of the sample at most; `digits.data.datamodule` says the same."""


def contradictions(config: Mapping[str, Any]) -> Iterator[str]:
    """Yields what is wrong with a configuration whose single values are right, and a remedy.

    Args:
        config: the composed configuration as plain Python, without Hydra's part.
    """
    yield from _data(config["data"])
    yield from _optimizer(config["optim"], config["schedule"])
    for name, callback in config["callbacks"].items():
        if not TARGET.accepts(callback):
            yield f"callbacks.{name} has no _target_, so it is no callback; try ~callbacks.{name}"
        else:
            yield from _monitor(f"callbacks.{name}", callback, config["model"]["_target_"])
    trainer = config["trainer"]
    if trainer["accelerator"] in ("gpu", "cuda", "mps"):
        yield from _accelerator(trainer["accelerator"], trainer.get("devices"))


def _data(data: Mapping[str, Any]) -> Iterator[str]:
    val_size, train_size = data.get("val_size"), data.get("train_size")
    if val_size is None or train_size is None:
        return
    sample = data.get("source") == "sample"
    left = 4000 - min(val_size, SAMPLE_VAL_SIZE) if sample else 60_000 - val_size
    if train_size >= left:
        yield (
            f"data.train_size must be below the {left} images that data.val_size={val_size} "
            f"leaves, got {train_size}; try data.train_size=null for all of them"
        )


def _optimizer(optim: Mapping[str, Any], schedule: Mapping[str, Any]) -> Iterator[str]:
    if optim.get("nesterov") and not optim.get("momentum"):
        yield "optim.nesterov=true needs momentum, got optim.momentum=0; try optim.nesterov=false"
    if optim.get("nesterov") and optim.get("dampening"):
        dampening = optim["dampening"]
        yield f"optim.nesterov=true takes no dampening, got {dampening}; try optim.dampening=0"
    if optim.get("fused") and optim.get("foreach"):
        yield "optim.fused and optim.foreach cannot both be true; try optim.fused=false"
    if schedule["_target_"].endswith(".onecycle") and schedule.get("warmup_rate") == 0:
        expected = "schedule.warmup_rate must be in (0, 1) for schedule=onecycle"
        yield f"{expected}, got 0; try schedule.warmup_rate=0.3"


def _monitor(key: str, callback: Mapping[str, Any], model: str) -> Iterator[str]:
    monitor, mode = callback.get("monitor"), callback.get("mode")
    if monitor is None:
        return
    # A network from elsewhere may log what this project does not know.
    if model.startswith("digits.") and monitor not in METRICS:
        near = nearest(monitor, METRICS) or METRICS[-1:]
        expected = f"{key}.monitor must be one of {', '.join(METRICS)}"
        yield f"{expected}, got {typed(monitor)}; try {key}.monitor={near[0]}"
    best = {"accuracy": "max", "loss": "min"}.get(monitor.rpartition("/")[2])
    if mode and best and mode != best:
        yield f"{key}.mode={mode} would choose the worst {monitor}; try {key}.mode={best}"


def _accelerator(accelerator: str, devices: Any) -> Iterator[str]:
    import torch  # takes seconds, which only those wait for who ask for a GPU

    kind = "Apple" if accelerator == "mps" else "CUDA"
    found = torch.cuda.device_count()
    if accelerator == "mps":
        found = int(torch.backends.mps.is_available())
    if not found:
        yield (
            f"trainer.accelerator={accelerator}, but torch finds no {kind} GPU here; "
            "try trainer=cpu or trainer=auto"
        )
    elif isinstance(devices, int) and devices > found:
        finds = f"torch finds {found} {kind} GPU here"
        yield f"trainer.devices={devices}, but {finds}; try trainer.devices={found}"
