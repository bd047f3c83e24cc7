"""What a training came to: the network that validation chose, its metrics, its predictions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from digits.data.datamodule import MNISTDataModule
from digits.model_file import read_checkpoint
from digits.models import Classifier
from digits.run_directory import Predictions
from digits.training.callbacks import History


def load_best(trainer: Trainer, model: Classifier) -> tuple[int, Mapping[str, float]]:
    """Load the checkpoint that validation chose, if there is one.

    Returns:
        The network's epoch, from 1, and what validation measured of it; nothing if it did not.
    """
    found = [each for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint)]
    best = next((each.best_model_path for each in found if each.monitor), "")
    if not best:
        return trainer.current_epoch, {}
    content = read_checkpoint(Path(best))
    model.load_state_dict(content["state_dict"])
    return content["epoch"] + 1, content.get("validated", {})


def metrics_of(
    trainer: Trainer,
    model: Classifier,
    datamodule: MNISTDataModule,
    history: History,
    best_epoch: int,
    validated: Mapping[str, float],
) -> dict[str, Any]:
    """Return what metrics.json holds."""
    metrics: dict[str, Any] = {
        "seed": model.seed,
        "dataset": datamodule.dataset,
        "init_from": model.init_from,
        "epochs": trainer.current_epoch,
        "best_epoch": best_epoch,
        "max_epochs": trainer.max_epochs,
        "num_train": len(datamodule.train_indices),
        "val_split_sha256": datamodule.split_sha256,
        "fold": datamodule.fold,
        "mean": datamodule.mean,
        "std": datamodule.std,
        "num_parameters": sum(each.numel() for each in model.parameters()),
        "threads": torch.get_num_threads(),
        "train_time_s": round(sum(row["time_s"] for row in history.rows), 3),
    }
    for part, measured in (("val", validated), ("test", trainer.callback_metrics)):
        number = metrics[f"num_{part}"] = model.num_images[part]
        accuracy, loss = measured.get(f"{part}/accuracy"), measured.get(f"{part}/loss")
        # Lightning's float32 is near a fraction of whole images; that is written exactly.
        exact = None if accuracy is None else round(float(accuracy) * number) / number
        metrics[f"{part}/accuracy"] = exact
        metrics[f"{part}/loss"] = None if loss is None else float(loss)
    return metrics


def can_predict(model: Classifier, trainer: Trainer) -> bool:
    """Return whether `trainer.predict` gives the logits of all images, in their order."""
    is_ours = type(model).predict_step is Classifier.predict_step
    return is_ours and trainer.world_size == 1


def predictions_of(logits: Tensor, datamodule: MNISTDataModule, tested: bool) -> Predictions:
    """Return the answers to the test images or, of a run that is not tested, to the validation."""
    indices = torch.arange(len(logits)) if tested else datamodule.val_indices[: len(logits)]
    data = datamodule.test if tested else datamodule.train
    assert data is not None
    labels, dtype = data.labels[indices], np.min_scalar_type(len(data.labels) - 1)
    confidence, predicted = logits.float().softmax(dim=1).max(dim=1)
    return Predictions(
        indices=None if tested else indices.numpy().astype(dtype),
        labels=labels.numpy().astype(np.uint8),
        predicted=predicted.numpy().astype(np.uint8),
        confidence=confidence.numpy().astype(np.float16),
    )
