"""The images on which an exported file is compared with the original."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from digits.data.datasets import MNIST, prepare, read
from digits.errors import DigitsError

NUM_RANDOM = 1000


class ImagesToCompare(NamedTuple):
    """Images, and where they are from."""

    images: Tensor
    """uint8 (n, 1, 28, 28)."""
    name: str
    """What they are, for "on 10,000 NAME"."""
    excuse: str = ""
    """Why they are no test images; empty if they are."""


def images_to_compare(dataset: str, data_dir: Path) -> ImagesToCompare:
    """Reads the test images of the dataset that the model was trained on, or makes others up.

    Args:
        dataset: "mnist", whose files are downloaded unless they are in `data_dir`, or
            "mnist-sample-5k".
        data_dir: the data folder.
    """
    try:
        if dataset == MNIST:
            prepare(data_dir, source="download")  # never the sample: these would be other images
        return ImagesToCompare(read(data_dir, "test", dataset).images, f"test images of {dataset}")
    except DigitsError as error:
        # What follows are remedies for a training.
        return ImagesToCompare(random_images(), "random images", str(error).partition(": set ")[0])


def random_images() -> Tensor:
    """Draws noise, always the same, from nearly empty images to nearly full ones.

    Returns:
        uint8 (1002, 1, 28, 28); the last two are all background and all ink.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (NUM_RANDOM, 1, 28, 28), generator=generator, dtype=torch.uint8)
    share = torch.linspace(0, 1, NUM_RANDOM).reshape(-1, 1, 1, 1)
    noise *= torch.rand(noise.shape, generator=generator) < share
    return torch.cat([noise, torch.zeros_like(noise[:1]), torch.full_like(noise[:1], 255)])
