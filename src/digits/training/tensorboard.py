"""What TensorBoard shows of a run: curves, choices, network, input, weights and mistakes."""

import contextlib
import copy
import io
import logging
import time
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from digits.data.batches import Batch
from digits.data.datasets import SIDE, class_word
from digits.models.measure import measure
from digits.training.console import SHOWN_CHOICES

LAYOUT = {
    "training and validation": {
        "loss": ["Multiline", ["^train/loss$", "^val/loss$"]],
        "accuracy": ["Multiline", ["^train/accuracy$", "^val/accuracy$"]],
    }
}
"""What the Custom Scalars tab draws on one chart: regular expressions, searched in the tags."""
FINAL = ("val/accuracy", "val/loss", "test/accuracy", "test/loss")
NUM_SHOWN = 40
"""Images in a picture of the input or of mistakes."""

_log = logging.getLogger(__name__)


class TensorBoard(TensorBoardLogger):
    """Lightning's logger, writing into the run directory itself, with both losses on one chart.

    Args:
        run_dir: where the event files go; TensorBoard shows the run under this folder's name.
        resumed_at_step: TensorBoard forgets what an interrupted run had logged from this step on.
        projector: whether to add the test images' embeddings, which takes some seconds.
    """

    def __init__(self, run_dir: str, resumed_at_step: int = 0, projector: bool = False) -> None:
        # TensorBoard reads a run's files by name: a second, then a number by which 10 precedes 9.
        if any(Path(run_dir).glob(f"events.out.tfevents.{int(time.time())}.*")):
            time.sleep(1)
        super().__init__(
            run_dir, name="", version="", default_hp_metric=False, purge_step=resumed_at_step
        )
        self.projector = projector

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        # Lightning adds the epoch to whatever is logged; a straight line is not a curve to look at.
        super().log_metrics({key: metrics[key] for key in metrics if key != "epoch"}, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.experiment.flush()  # and stay open for the test and the final metrics

    @rank_zero_only
    def save(self) -> None:
        self.experiment.flush()  # without Lightning's hparams.yaml: there is .hydra/config.yaml


def log_hyperparameters(
    trainer: Trainer,
    config: DictConfig,
    choices: Mapping[str, str],
    metrics: Mapping[str, Any],
) -> None:
    """Tell all loggers what was chosen, and the final metrics: TensorBoard in its HPARAMS tab."""
    values = {group: choices[group] for group in SHOWN_CHOICES if group in choices} | {
        "lr": config.optim.get("lr"),
        "batch_size": config.data.batch_size,
        "hidden": str(list(config.model.get("hidden", []))),
        "dropout_rate": config.model.get("dropout_rate", 0.0),
        "epochs": metrics["epochs"],
        "seed": metrics["seed"],
        "dataset": metrics["dataset"],
    }
    final = {
        f"final/{name.replace('/', '_')}": metrics[name]
        for name in FINAL
        if metrics[name] is not None
    }
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(values, final, trainer.global_step)
            logger.experiment.close()
        else:
            logger.log_hyperparams(values | {"run_dir": trainer.default_root_dir})
            logger.log_metrics(final, trainer.global_step)
            logger.save()


class TensorBoardPictures(Callback):
    """Text, graph, images, histograms and precision-recall curves among a run's events.

    Does nothing without TensorBoard. Takes about half a second of a run, without the projector.
    """

    def __init__(self, configuration: str) -> None:
        self.configuration = configuration

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if (writer := _writer(trainer)) and trainer.global_step == 0:
            writer.add_custom_scalars(LAYOUT)
            code = "".join(f"    {line}\n" for line in self.configuration.splitlines())
            writer.add_text("configuration", code, 0)
            _add_graph(writer, pl_module)

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Batch, batch_idx: int
    ) -> None:
        if (writer := _writer(trainer)) and trainer.global_step == 0 and batch_idx == 0:
            from digits.figures import digit_grid  # matplotlib takes a third of a second

            draws = partial(torch.Generator(batch[0].device).manual_seed, 0)
            images, labels = next(pl_module.minibatches(batch, draws))
            low, high = (float(value) for value in images.aminmax())
            title = f"What the network receives, from {low:.2f} (black) to {high:.2f}"
            titles = [trainer.datamodule.classes[int(label)] for label in labels[:NUM_SHOWN]]
            _add_figure(writer, "input", digit_grid(images[:NUM_SHOWN], titles, title=title), 0)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # The step of the epoch's curves: a resumed run would purge them at the next one.
        epoch, step = trainer.current_epoch + 1, trainer.global_step - 1
        if (writer := _writer(trainer)) and epoch & (epoch - 1) == 0:  # 1, 2, 4, 8, ...
            for name, parameter in pl_module.named_parameters():
                values = parameter.detach().float()
                writer.add_histogram(name.replace(".", "/", 1), values, step)

    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        if (writer := _writer(trainer)) is None:
            return
        from digits.figures import confusion_matrix, digit_grid

        data, step, logits = trainer.datamodule, trainer.global_step, pl_module.test_logits
        images, labels = data.test.images[: len(logits)], data.test.labels[: len(logits)]
        classes, measures = data.classes, measure(logits, labels)
        figure = confusion_matrix(measures.confusion, classes, class_word(classes))
        _add_figure(writer, "test/confusion matrix", figure, step)
        if shown := measures.mistakes[:NUM_SHOWN]:
            titles = [each.title(classes) for each in shown]
            title = f"The {len(shown)} most confident of {len(measures.mistakes):,} mistakes"
            figure = digit_grid(images[[each.index for each in shown]], titles, title=title)
            _add_figure(writer, "test/mistakes", figure, step)
        probabilities = logits.float().softmax(dim=1)
        for label, name in enumerate(classes):
            tag = f"precision and recall/{name}"
            writer.add_pr_curve(tag, labels == label, probabilities[:, label], step)
        if any(getattr(logger, "projector", False) for logger in trainer.loggers):
            hidden = torch.nn.Sequential(*list(pl_module.network.children())[:-1])
            inputs = data.normalized(images).to(pl_module.device, pl_module.dtype)
            with torch.inference_mode():
                embeddings = hidden(inputs).flatten(1).float().cpu()
            writer.add_embedding(embeddings, labels.tolist(), 1 - images / 255, step, "test")


def _writer(trainer: Trainer) -> Any:
    """Return the writer of the first logger for TensorBoard, ours or Lightning's, if any."""
    found = (each for each in trainer.loggers if isinstance(each, TensorBoardLogger))
    logger = next(found, None) if trainer.is_global_zero else None
    return logger and logger.experiment


def _add_graph(writer: Any, model: LightningModule) -> None:
    network = copy.deepcopy(model.network)  # a compiled one cannot be traced, but its copy can
    image = torch.zeros(1, 1, SIDE, SIDE, device=model.device).to(model.dtype)
    try:
        # It prints what it raises.
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            # TensorBoard's writer traces by torch.jit, which torch will remove.
            warnings.filterwarnings("ignore", message=".*torch.jit.* is deprecated")
            writer.add_graph(network, image)
    except Exception as error:  # whatever cannot be traced in the user's own network
        _log.info("TensorBoard has no graph of this network: %s", error)


def _add_figure(writer: Any, tag: str, figure: Any, step: int) -> None:
    # The writer's own add_figure imports pyplot, which takes a quarter of a second.
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    writer.add_image(tag, np.asarray(canvas.buffer_rgba())[..., :3], step, dataformats="HWC")
