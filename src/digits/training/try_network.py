"""A network of one's own, tried with two images before the training begins."""

import torch

from digits.data.datasets import NUM_CLASSES
from digits.errors import DigitsError
from digits.models import Classifier


def try_network(model: Classifier) -> None:
    """Makes sure that a network maps images to ten logits each.

    Raises:
        DigitsError: it fails, or gives something else.
    """
    name, images = model.class_path, torch.zeros(2, 1, 28, 28)
    model.eval()
    try:
        with torch.inference_mode():
            logits = model.network(images)
    except DigitsError:
        raise
    except Exception as error:  # whatever code of one's own stumbles over
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DigitsError(
            f"the network of {name} cannot take images of shape (2, 1, 28, 28): {reason}; "
            "try nn.Flatten() first, and 784 inputs"
        ) from error
    finally:
        model.train()
    if not isinstance(logits, torch.Tensor) or logits.shape != (2, NUM_CLASSES):
        shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise DigitsError(
            f"the network of {name} makes {shape} of two images, not (2, 10): ten logits each; "
            "try nn.Linear(..., 10) last"
        )
