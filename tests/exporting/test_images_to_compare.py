from pathlib import Path

import pytest
import torch

from digits.data.mnist import read
from digits.data.sample import load_sample
from digits.errors import DigitsError
from digits.exporting import images as module
from digits.exporting.images import images_to_compare, random_images


def test_they_are_the_test_images_of_the_models_dataset(mnist_folder: Path) -> None:
    images, name, excuse = images_to_compare("mnist", mnist_folder)
    assert images.equal(read(mnist_folder, "test", "mnist").images)
    assert (len(images), name, excuse) == (10_000, "test images of mnist", "")


def test_of_the_sample_they_are_its_own(tmp_path: Path) -> None:
    images, name, excuse = images_to_compare("mnist-sample-5k", tmp_path)
    assert images.equal(load_sample("test").images)
    assert (name, excuse) == ("test images of mnist-sample-5k", "")


def test_without_files_and_network_they_are_random_and_never_those_of_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(folder: Path, source: str) -> str:
        assert source == "download"
        raise DigitsError(f"cannot download t10k to {folder}: set HTTPS_PROXY, or use data=sample")

    monkeypatch.setattr(module, "prepare", no_network)
    images, name, excuse = images_to_compare("mnist", tmp_path)
    assert images.equal(random_images())
    assert (name, excuse) == ("random images", f"cannot download t10k to {tmp_path}")


def test_of_an_unknown_dataset_they_are_random(tmp_path: Path) -> None:
    assert "got 'letters'" in images_to_compare("letters", tmp_path).excuse


def test_random_images_are_the_same_each_time_and_of_all_kinds() -> None:
    images = random_images()
    assert images.equal(random_images())
    assert (images.shape, images.dtype) == ((1002, 1, 28, 28), torch.uint8)
    assert images[-2].eq(0).all()
    assert images[-1].eq(255).all()
    means = images[:1000].float().mean((1, 2, 3))
    assert means.min() < 2
    assert means.max() > 120
    assert images.flatten().bincount().gt(0).tolist() == [True] * 256
