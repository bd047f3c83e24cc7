import numpy as np
import torch

from digits.data.sample import load_sample
from digits.exploration.looks import class_mean_std_images, first_of_each_class


def test_mean_and_deviation_images_are_numpys() -> None:
    data = load_sample("test")
    means, stds = class_mean_std_images(data.images, data.labels)
    for digit in range(10):
        of_digit = data.images[data.labels == digit, 0].numpy() / 255
        np.testing.assert_allclose(means[digit], of_digit.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(stds[digit], of_digit.std(axis=0), atol=1e-6)


def test_a_digit_without_images_has_no_mean() -> None:
    means, stds = class_mean_std_images(
        torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.tensor([3, 3])
    )
    assert means.isnan().any(dim=2).any(dim=1).tolist() == [digit != 3 for digit in range(10)]
    assert (stds[3] == 0).all()


def test_the_first_images_of_each_digit_are_found() -> None:
    labels = torch.tensor([5, 0, 5, 9, 5, 0, 0])
    assert first_of_each_class(labels, 2).tolist() == [1, 5, 0, 2, 3]
