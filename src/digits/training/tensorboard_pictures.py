"""What TensorBoard shows besides curves: the network, its input, its weights, its mistakes."""

import contextlib
import copy
import io
import logging
import warnings
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from digits.data.batches import Batch
from digits.models import Classifier
from digits.training.tensorboard import TensorBoard

SHOWN_INPUTS, SHOWN_MISTAKES = 40, 40

_log = logging.getLogger(__name__)


class TensorBoardPictures(Callback):
    """Adds text, graph, images, histograms and precision-recall curves to a run's events.

    Does nothing with any other logger. All of it together takes about half a second of a run, but
    for the projector's.

    Args:
        configuration: the run's whole configuration, as YAML.
    """

    def __init__(self, configuration: str) -> None:
        self.configuration = configuration

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the configuration and the graph, unless the run is gone on with."""
        if (writer := _writer(trainer)) and trainer.global_step == 0:
            code = "".join(f"    {line}\n" for line in self.configuration.splitlines())
            writer.add_text("configuration", code, 0)
            _add_graph(writer, pl_module)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Shows the first images of the training as the network receives them."""
        if (writer := _writer(trainer)) and trainer.global_step == 0 and batch_idx == 0:
            generator = torch.Generator(batch.images.device)
            images, labels = next(batch.minibatches(lambda: generator.manual_seed(0)))
            low, high = (float(value) for value in images.aminmax())
            title = f"What the network receives, from {low:.2f} (black) to {high:.2f}"
            _add_digits(writer, "input", images, [str(int(label)) for label in labels], title, 0)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes histograms of the weights after 1, 2, 4, 8, ... epochs."""
        epoch = trainer.current_epoch + 1
        # The step of the epoch's curves: at the next one, a run that goes on would purge them.
        step = trainer.global_step - 1
        if (writer := _writer(trainer)) and epoch & (epoch - 1) == 0:
            for name, parameter in pl_module.named_parameters():
                values = parameter.detach().float()
                writer.add_histogram(name.replace(".", "/", 1), values, step)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Shows what the tested network confuses, how surely, and at which threshold."""
        writer, data = _writer(trainer), getattr(trainer, "datamodule", None)
        if writer is None or data is None or not isinstance(pl_module, Classifier):
            return
        step, logits = trainer.global_step, pl_module.test_logits
        images, labels = data.test.images[: len(logits)], data.test.labels[: len(logits)]
        add_test_pictures(writer, logits, images, labels, step)
        if isinstance(trainer.logger, TensorBoard) and trainer.logger.projector:
            add_projector(writer, pl_module, data.normalized(images), images, labels, step)


def add_test_pictures(
    writer: Any, logits: Tensor, images: Tensor, labels: Tensor, step: int
) -> None:
    """Adds confusion matrix, worst mistakes and precision-recall curves of tested images."""
    from digits.figures import confusion_matrix
    from digits.models.measure import measure

    measures = measure(logits, labels)
    _add_figure(writer, "test/confusion matrix", confusion_matrix(measures.confusion), step)
    if shown := measures.mistakes[:SHOWN_MISTAKES]:
        titles = [f"{each.label} as {each.predicted}\n{each.probability:.0%}" for each in shown]
        title = f"The {len(shown)} most confident of {len(measures.mistakes):,} mistakes"
        chosen = images[[mistake.index for mistake in shown]]
        _add_digits(writer, "test/mistakes", chosen, titles, title, step)
    probabilities = logits.float().softmax(dim=1)
    for digit, probability in enumerate(probabilities.T):
        writer.add_pr_curve(f"precision and recall/{digit}", labels == digit, probability, step)


def add_projector(
    writer: Any, model: Classifier, inputs: Tensor, images: Tensor, labels: Tensor, step: int
) -> None:
    """Adds the last hidden layer's values for each image to the projector; takes some seconds."""
    layers = list(model.network.children())
    hidden = torch.nn.Sequential(*layers[:-1]) if len(layers) > 1 else model.network
    with torch.inference_mode():
        embeddings = hidden(inputs.to(model.device, _dtype(model))).flatten(1).float().cpu()
    writer.add_embedding(
        embeddings,
        metadata=labels.tolist(),
        label_img=1 - images / 255,
        global_step=step,
        tag="test",
    )


def _writer(trainer: Trainer) -> Any:
    logger = trainer.logger
    if isinstance(logger, TensorBoard) and trainer.is_global_zero:
        return logger.experiment
    return None


def _dtype(model: LightningModule) -> torch.dtype:
    return next(model.parameters()).dtype


def _add_graph(writer: Any, model: LightningModule) -> None:
    network = copy.deepcopy(model.network)  # a compiled one cannot be traced; its copy is none
    image = torch.zeros(1, 1, 28, 28, device=model.device, dtype=_dtype(model))
    try:
        # It prints what it raises.
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            # TensorBoard's writer traces by torch.jit, which torch will remove.
            warnings.filterwarnings("ignore", message=".*torch.jit.* is deprecated")
            writer.add_graph(network, image)
    except Exception as error:  # whatever a network of one's own does that cannot be traced
        _log.info("TensorBoard has no graph of this network: %s", error)


def _add_digits(
    writer: Any, tag: str, images: Tensor, titles: list[str], title: str, step: int
) -> None:
    from digits.figures import digit_grid

    shown = images[:SHOWN_INPUTS]
    _add_figure(writer, tag, digit_grid(shown, titles[: len(shown)], title=title), step)


def _add_figure(writer: Any, tag: str, figure: Any, step: int) -> None:
    # The writer's own add_figure imports pyplot, which takes a quarter of a second.
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    writer.add_image(tag, np.asarray(canvas.buffer_rgba())[..., :3], step, dataformats="HWC")
