"""What all networks share when they are evaluated."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torchmetrics import CatMetric, MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from digits.data.batches import Batch
from digits.errors import DigitsError

NUM_CLASSES = 10


def accuracy_metric() -> MulticlassAccuracy:
    """Makes the metric that counts the share of images that are classified correctly."""
    return MulticlassAccuracy(NUM_CLASSES, average="micro", validate_args=False)


class EvaluatedClassifier(LightningModule):
    """A network, and how loss and accuracy are measured on validation and test images.

    Attributes:
        network: images (batch, 1, 28, 28) to logits (batch, 10); subclasses set it.
        num_images: images of each part that the latest epoch evaluated, in all processes.
        test_logits: of the latest test, float32 (n, 10) in the order of the images, on the CPU.
    """

    network: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.val_loss, self.test_loss = MeanMetric(), MeanMetric()
        self.val_accuracy, self.test_accuracy = accuracy_metric(), accuracy_metric()
        self.num_images = {"val": 0, "test": 0}
        self.test_logits = torch.empty(0, NUM_CLASSES)
        self._logits = CatMetric(nan_strategy="disable")

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalized images (batch, 1, 28, 28) to logits (batch, 10)."""
        logits: Tensor = self.network(images.to(self.dtype))  # trainer.precision=bf16-true, 64-true
        return logits

    def on_validation_epoch_start(self) -> None:
        """Counts anew."""
        self.num_images["val"] = 0

    def on_test_epoch_start(self) -> None:
        """Counts and collects anew."""
        self.num_images["test"] = 0
        self._logits.reset()

    def on_validation_epoch_end(self) -> None:
        """Adds up the counts of all processes."""
        self._count_images("val")

    def on_test_epoch_end(self) -> None:
        """Adds up the counts of all processes, and puts their logits in the images' order."""
        self._count_images("test")
        collected = torch.as_tensor(self._logits.compute()).cpu()
        world_size = self.trainer.world_size
        # The first process had images 0, n, 2n, ..., the second one 1, n + 1, ..., and so on.
        places = torch.cat(
            [torch.arange(rank, len(collected), world_size) for rank in range(world_size)]
        )
        self.test_logits = torch.empty_like(collected).index_copy_(0, places, collected)

    def _count_images(self, part: str) -> None:
        count = torch.tensor(self.num_images[part], device=self.device)
        self.num_images[part] = int(self.trainer.strategy.reduce(count, reduce_op="sum"))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measures loss and accuracy on validation images."""
        self._evaluate("val", batch, self.val_loss, self.val_accuracy)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measures loss and accuracy on test images."""
        self._evaluate("test", batch, self.test_loss, self.test_accuracy)

    def _evaluate(
        self, part: str, batch: Batch, loss: MeanMetric, accuracy: MulticlassAccuracy
    ) -> None:
        for images, labels in batch.minibatches():
            logits = self(images)
            loss.update(F.cross_entropy(logits, labels, reduction="none"))
            accuracy.update(logits, labels)
            if part == "test":
                self._logits.update(logits)
            self.num_images[part] += len(labels)
        self.log_dict({f"{part}/loss": loss, f"{part}/accuracy": accuracy}, batch_size=1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the number of validation images, for a run that is resumed with no epoch left."""
        checkpoint["num_val"] = self.num_images["val"]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the number of validation images."""
        self.num_images["val"] = checkpoint["num_val"]

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        """Takes weights.

        Raises:
            DigitsError: they are of another network.
        """
        try:
            return super().load_state_dict(state_dict, *args, **options)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise DigitsError(
                f"the checkpoint does not fit the network: {reason}; "
                "go on with the options that it was trained with, or give another name=RUN"
            ) from error
