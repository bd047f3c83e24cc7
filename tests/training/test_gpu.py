"""What is promised of a GPU; skipped where there is none."""

import warnings
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from pytorch_lightning import Callback
from support import SMALL, train

from digits.data.batches import Batch
from digits.model_file import load

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")

GPU = (*SMALL, "trainer=gpu")


class CountSynchronizations(Callback):
    """Counts how often the processor waits for the GPU within each of Lightning's batches."""

    devices: ClassVar[set[str]] = set()
    counts: ClassVar[list[int]] = []
    num_minibatches: ClassVar[list[int]] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Batch, *_: Any) -> None:
        self.devices.update({batch[0].device.type, batch[1].device.type})
        self.num_minibatches.append(sum(1 for _ in pl_module.minibatches(batch)))
        self._caught = warnings.catch_warnings(record=True)
        self._warnings = self._caught.__enter__()
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")

    def on_train_batch_end(self, *_: Any) -> None:
        torch.cuda.set_sync_debug_mode("default")
        self._caught.__exit__(None, None, None)
        self.counts.append(sum("synchronizing" in str(each.message) for each in self._warnings))


@pytest.mark.parametrize("batch_size", [64, 4])
def test_data_stays_on_the_gpu_and_no_step_waits_for_it(batch_size: int, tmp_path: Path) -> None:
    counter = f"+callbacks.count._target_={__name__}.CountSynchronizations"
    options = ("model=dropout", "trainer.max_epochs=2", f"data.batch_size={batch_size}")
    train(tmp_path / "a", *GPU, *options, counter)
    assert CountSynchronizations.devices == {"cuda"}
    assert CountSynchronizations.num_minibatches[-1] == 640 // batch_size
    # Some for a whole stack, as to see whether its losses are finite; not one for each minibatch.
    # The first batch of a training also waits for what is made but once.
    assert CountSynchronizations.counts[-1] < 10


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed", "bf16-true"])
def test_every_precision_of_a_gpu_trains_and_tests(precision: str, tmp_path: Path) -> None:
    options = ("data=sample", "trainer=gpu", f"trainer.precision={precision}")
    metrics = train(tmp_path / "a", *options, "trainer.max_epochs=2")
    # One in ten is chance.
    assert metrics["test/accuracy"] > 0.5


def test_deterministic_runs_on_a_gpu_are_equal_to_the_last_bit(tmp_path: Path) -> None:
    for name in ("a", "b"):
        options = ("model=dropout", "trainer.deterministic=true", "trainer.max_epochs=2")
        train(tmp_path / name, *GPU, *options)
    first, second = (load(tmp_path / name).network.state_dict() for name in ("a", "b"))
    assert all(weight.equal(second[name]) for name, weight in first.items())
