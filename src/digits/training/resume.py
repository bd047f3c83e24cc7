"""Whether a run directory can be gone on with; asked before anything is written to it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from digits.errors import DigitsError
from digits.files import flat
from digits.runs import NO_EFFECT, finished_metrics, read_status


def resume_point(run_dir: Path, resume: str) -> Path | None:
    """Returns the checkpoint that the run goes on from, or `None` for a new start.

    Args:
        run_dir: the run directory.
        resume: "auto" (the last checkpoint, if there is one), "must" or "never".

    Raises:
        DigitsError: "must", and there is no checkpoint; or "never", and there is one, which a new
            start would destroy.
    """
    last = run_dir / "checkpoints" / "last.ckpt"
    if resume == "must" and not last.exists():
        raise DigitsError(
            f"resume=must, but {last} does not exist; name the run to go on with (name=RUN), "
            "or try resume=auto"
        )
    if resume == "never" and last.exists():
        raise DigitsError(
            f"resume=never, but {run_dir} holds a run already; try another name=RUN, or resume=auto"
        )
    return last if last.exists() else None


def check_resumable(run_dir: Path, config: DictConfig) -> None:
    """Refuses to go on with a run under other options than those that it was started with.

    The old ones are in status.json, since Hydra writes .hydra/config.yaml anew when a run begins.

    Raises:
        DigitsError: `resume_point` refuses, or an option differs; the first ones are named.
    """
    recorded = read_status(run_dir).get("config")
    if resume_point(run_dir, config.resume) is None or not recorded:
        return
    metrics, max_epochs = finished_metrics(run_dir), config.trainer.max_epochs
    if metrics and metrics["epochs"] > max_epochs:
        raise DigitsError(
            f"trainer.max_epochs={max_epochs}, but {run_dir} holds {metrics['epochs']} epochs; "
            f"try trainer.max_epochs={metrics['epochs']}, or another name=RUN"
        )
    old = dict(flat(recorded))
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    new = dict(flat(OmegaConf.to_container(own, resolve=True)))
    free = tuple(
        f"{name}."
        for name in (*NO_EFFECT, "trainer.max_epochs", *_callbacks_of_ones_own(old | new))
    )
    differing = [
        key
        for key in sorted(old.keys() | new.keys())
        if not f"{key}.".startswith(free) and old.get(key) != new.get(key)
    ]
    if differing:
        shown = ", ".join(f"{key}={_word(old.get(key))}" for key in differing[:3])
        given = ", ".join(f"{key}={_word(new.get(key))}" for key in differing[:3])
        more = f" (and {len(differing) - 3} more)" if len(differing) > 3 else ""
        raise DigitsError(
            f"{run_dir} holds a run with {shown}{more}, which cannot go on with {given}; "
            "try the same options again, or another name=RUN"
        )


def _callbacks_of_ones_own(values: Mapping[str, Any]) -> list[str]:
    """Returns the keys of callbacks that come and go as you like; Lightning's change the result."""
    return [
        key.removesuffix("._target_")
        for key, target in values.items()
        if key.startswith("callbacks.")
        and key.endswith("._target_")
        and not str(target).startswith(("digits.", "pytorch_lightning."))
    ]


def _word(value: Any) -> str:
    return "null" if value is None else str(value).replace(" ", "")
