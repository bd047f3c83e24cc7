"""What a difference, or a failure, does to the file on the disk."""

import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from digits.artifact import TrainedClassifier
from digits.errors import DigitsError
from digits.exporting import to_onnx, to_safetensors, to_torch_export
from digits.exporting.compare import compare
from digits.exporting.export import export
from digits.exporting.formats import FORMATS
from digits.exporting.images import images_to_compare
from digits.models import Classifier
from digits.recorded import run_directory
from exporting.exported_models import SAMPLE_TEST, loaded

WRITERS = {"onnx": to_onnx, "torch-export": to_torch_export, "safetensors": to_safetensors}


def message(model: TrainedClassifier, name: str, folder: Path, pixels: str = "floats") -> str:
    with pytest.raises(DigitsError) as caught:
        export(model, FORMATS[name], folder, pixels, SAMPLE_TEST)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("onnx", "floats"),
        ("onnx", "bytes"),
        ("torch-export", "floats"),
        ("torch-export", "bytes"),
        ("safetensors", "floats"),
    ],
)
def test_all_test_images_of_mnist_get_the_same_class(
    model: TrainedClassifier, name: str, pixels: str, mnist_folder: Path, tmp_path: Path
) -> None:
    images = images_to_compare("mnist", mnist_folder)
    exported = export(model, FORMATS[name], tmp_path, pixels, images)
    assert exported.comparison.num_images == 10_000
    assert not len(exported.comparison.changed)
    again = WRITERS[name].open_file(exported.path)
    with torch.no_grad():
        found = again(images.images if pixels == "bytes" else images.images / 255)
        expected = model(images.images)
    assert found.argmax(1).equal(expected.argmax(1))
    difference = (found - expected).abs().max().item()
    assert difference == pytest.approx(exported.comparison.largest_difference, abs=1e-5)
    assert difference < 1e-4


@pytest.mark.parametrize("name", FORMATS)
def test_a_changed_weight_is_found_and_leaves_no_file(
    name: str, baseline: TrainedClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = WRITERS[name].encode

    def changed(model: TrainedClassifier, pixels: str) -> bytes:
        """Writes the weights with one of them, the last layer's bias for 3, moved by 5."""
        bias = list(model.network.parameters())[-1]
        with torch.no_grad():
            bias[3] += 5
            try:
                content: bytes = encode(model, pixels)
                return content
            finally:
                bias[3] -= 5

    monkeypatch.setattr(WRITERS[name], "encode", changed)
    found = message(baseline, name, tmp_path)
    assert f"{FORMATS[name].file} is not kept" in found
    assert "of 1,000 test images of mnist-sample-5k" in found
    assert "largest difference of a logit: 5" in found
    assert not list(tmp_path.iterdir())
    (tmp_path / FORMATS[name].file).write_bytes(b"older")
    message(baseline, name, tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"older"]


def test_a_file_that_its_runtime_cannot_read_is_not_kept(
    baseline: TrainedClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, writer in WRITERS.items():
        monkeypatch.setattr(writer, "encode", lambda *_: b"no model")
        assert f"{FORMATS[name].runtime} fails on it" in message(baseline, name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_older_file_is_replaced_by_a_good_one(
    baseline: TrainedClassifier, tmp_path: Path
) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"older")
    exported = export(baseline, FORMATS["safetensors"], tmp_path, "floats", SAMPLE_TEST)
    assert exported.path == tmp_path / "model.safetensors"
    assert exported.num_bytes == exported.path.stat().st_size > 1000
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_folder_that_may_not_be_written_to_is_told_in_one_line(
    baseline: TrainedClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "read_only"
    folder.mkdir(mode=0o555)
    if os.geteuid() == 0:  # the permissions do not hold root back

        def refuse(**_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("tempfile.mkstemp", refuse)
    found = message(baseline, "onnx", folder)
    assert found == f"cannot write {folder / 'model.onnx'}: Permission denied; try --out DIR"


def test_the_export_goes_into_the_run_directory(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    for file in ("model.pt", "checkpoints/last.ckpt"):
        (tmp_path / file).touch()
        assert run_directory(tmp_path / file) == tmp_path
    assert run_directory(tmp_path) == tmp_path


Logits = Callable[[Tensor], Tensor]


@pytest.mark.parametrize(
    ("exported", "changed"),
    [
        (lambda logits: logits * 2, []),
        (lambda logits: logits.flip(1), [0, 1, 2]),
        (lambda logits: logits.where(logits != 7, torch.nan), [1]),
        (lambda logits: torch.full_like(logits, torch.nan), [0, 1, 2]),
    ],
)
def test_the_images_whose_class_changes_are_found(exported: Logits, changed: list[int]) -> None:
    images = torch.tensor([3, 7, 250], dtype=torch.uint8).reshape(3, 1, 1, 1).expand(3, 1, 28, 28)

    def original(images: Tensor) -> Tensor:
        """The brightness for class 0, and nothing for the others."""
        levels = (images.float() * (255 if images.is_floating_point() else 1)).amax((1, 2, 3))
        return torch.stack([levels.round(), *[torch.zeros(len(images))] * 9], dim=1)

    found = compare(original, lambda images: exported(original(images)), images, ["floats"])
    assert found.changed.tolist() == changed
    assert found.num_images == 3
    assert found.largest_logit == 250
    if not changed:
        assert found.largest_difference == 250


def test_the_batches_compared_are_of_several_sizes() -> None:
    sizes = []

    def original(images: Tensor) -> Tensor:
        sizes.append(len(images))
        return images.float().flatten(1)[:, :10]

    compare(original, original, torch.zeros(2500, 1, 28, 28, dtype=torch.uint8), ["bytes"])
    assert sizes == [1, 1000, 1000, 499] * 2


class LooksAtPixels(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        pixels = images.flatten(1)
        return pixels[:, :10] if pixels.sum() > 0 else pixels[:, 10:20]


class OfTwoImages(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.reshape(2, 784)[:, :10]


class Random(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.rand_like(images.flatten(1)[:, :10])


class Odd(Classifier):
    """A network that no graph can stand for."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.network = {"looks": LooksAtPixels, "two": OfTwoImages, "random": Random}[kind]()


@pytest.mark.parametrize("kind", ["looks", "two"])
def test_a_network_that_cannot_be_followed_is_told_in_one_line(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = loaded(tmp_path / "run", Odd(kind))
    for name in ("onnx", "torch-export"):
        found = message(model, name, tmp_path)
        assert found.startswith(f"torch.export cannot follow the network {__name__}.Odd: ")
        assert "its forward must" in found
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_network_that_rolls_dice_is_not_kept(tmp_path: Path) -> None:
    model = loaded(tmp_path / "run", Odd("random"))
    assert "gives another class" in message(model, "torch-export", tmp_path, "bytes")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_exporting_is_quiet_and_leaves_logs_and_warnings_as_they_were(
    baseline: TrainedClassifier, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = warnings.filters[:], sys.stderr, logging.root.manager.disable
    for form in FORMATS.values():
        export(baseline, form, tmp_path, "floats", SAMPLE_TEST)
    assert (warnings.filters[:], sys.stderr, logging.root.manager.disable) == before
    assert capfd.readouterr() == ("", "")
