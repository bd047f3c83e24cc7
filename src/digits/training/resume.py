"""Whether a run directory can be gone on with; asked before anything is written to it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from digits.errors import DigitsError
from digits.flat import flat
from digits.training.processes import is_first_process
from digits.training.report import read_metrics
from digits.training.status import read_status

MAY_DIFFER = (
    "name",
    "test",
    "resume",
    "data.dir",
    "data.source",
    "data.mirrors",
    "trainer.max_epochs",
    "trainer.accelerator",
    "trainer.profiler",
    "callbacks.stop",
    "logger",
    "debug",
)
"""Keys (and all below them) that a run may be resumed with other values of."""


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
    metrics, max_epochs = read_metrics(run_dir), config.trainer.max_epochs
    if metrics and metrics["epochs"] > max_epochs:
        raise DigitsError(
            f"trainer.max_epochs={max_epochs}, but {run_dir} holds {metrics['epochs']} epochs; "
            f"try trainer.max_epochs={metrics['epochs']}, or another name=RUN"
        )
    old = dict(flat(recorded))
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    new = dict(flat(OmegaConf.to_container(own, resolve=True)))
    free = tuple(f"{name}." for name in (*MAY_DIFFER, *_callbacks_of_ones_own(old | new)))
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


@contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Keeps a run directory for this process; the others of one training share it.

    Raises:
        DigitsError: another process trains in it.
    """
    if not is_first_process():
        yield
        return
    lock = FileLock(run_dir / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise DigitsError(
            f"{run_dir} is in use by another process; wait for it, or try another name=RUN"
        ) from None
    try:
        yield
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def in_use(run_dir: Path) -> bool:
    """Says whether another process trains in a run directory."""
    try:
        with locked(run_dir):
            return False
    except DigitsError:
        return True


def _word(value: Any) -> str:
    return "null" if value is None else str(value).replace(" ", "")
