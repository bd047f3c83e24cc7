import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import fitting
import pytest
import torch
from torch import Tensor, nn

import digits
from digits.data.datamodule import MNISTDataModule
from digits.data.datasets import load_sample
from digits.errors import DigitsError
from digits.model_file import read_model, save_model, write_model
from digits.models import (
    BaselineClassifier,
    Classifier,
    CnnClassifier,
    DropoutClassifier,
    NoiseClassifier,
)
from digits.models.networks import MLP

SRC = Path(digits.__file__).parents[1]
MEAN, STD = 0.13, 0.31
FORMER = Path(__file__).parent / "model_format_2.pt"
"""Written by the release before: train.py data=sample model=dropout model.hidden=[12]
model.max_norm=2 trainer.max_epochs=1 seed=1."""
FORMER_LOGITS = [
    *(0.24755285680294037, -0.03302326798439026, 0.19458255171775818, -0.34268897771835327),
    *(0.29046759009361267, 0.05211770534515381, 0.27879247069358826, -0.08736695349216461),
    *(0.17682035267353058, 0.25219860672950745),
]
"""What that release made of `(7 * torch.arange(784)) % 256`."""
IMAGES = load_sample("test").images[:200]


def saved(folder: Path, model: Classifier | None = None) -> Path:
    path = folder / "model.pt"
    save_model(path, model or BaselineClassifier([16]), MNISTDataModule(mean=MEAN, std=STD))
    return path


def changed(path: Path, **changes: Any) -> Path:
    """Give a file other content; `None` leaves a key out."""
    content = torch.load(path, weights_only=True) | changes
    torch.save({key: value for key, value in content.items() if value is not None}, path)
    return path


def message(path: Path) -> str:
    with pytest.raises(DigitsError) as caught:
        digits.load(path)
    return str(caught.value)


def test_the_loaded_model_computes_what_the_saved_one_did(tmp_path: Path) -> None:
    model = DropoutClassifier([12, 7], 0.4)
    loaded = digits.load(saved(tmp_path, model))
    expected = model.eval()((IMAGES / 255 - MEAN) / STD)
    assert not any(module.training for module in loaded.modules())
    assert loaded(IMAGES).equal(expected)
    assert loaded(IMAGES / 255).equal(expected)


def test_every_form_of_the_same_images_gives_the_same(tmp_path: Path) -> None:
    model = digits.load(saved(tmp_path))
    expected = model(IMAGES)
    for images in (IMAGES.numpy(), IMAGES[:, 0], IMAGES.numpy()[:, 0], (IMAGES / 255).numpy()):
        assert model(images).equal(expected)
    torch.testing.assert_close(model(IMAGES[3, 0]), expected[3:4])
    black_or_white = IMAGES > 127
    assert model(black_or_white).equal(model(black_or_white.float()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.bfloat16])
def test_the_model_works_in_the_dtype_it_is_put_into(dtype: torch.dtype, tmp_path: Path) -> None:
    model = digits.load(saved(tmp_path))
    expected = model(IMAGES)
    model = model.to(dtype)
    for images in (IMAGES, IMAGES / 255, (IMAGES / 255).to(dtype)):
        logits = model(images)
        assert logits.dtype == dtype
        torch.testing.assert_close(logits.float(), expected, atol=0.02, rtol=0.02)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (IMAGES.float(), "got float32 from 0 to 255; try images / 255"),
        ((IMAGES / 255 - MEAN) / STD, "the model normalizes them itself"),
        (IMAGES.long(), r"got int64; try images.to\(torch.uint8\)"),
        ((IMAGES > 127).byte(), r"got uint8 of 0 and 1 only; try images.bool\(\)"),
        (IMAGES / 0.0, "got float32 from nan to nan"),
        (IMAGES.view(-1, 1, 14, 56), r"\(batch, 1, 28, 28\), got \(200, 1, 14, 56\)"),
        (IMAGES.expand(-1, 3, -1, -1), r"got \(200, 3, 28, 28\)"),
    ],
)
def test_what_the_model_would_misread_is_refused(
    images: Any, expected: str, tmp_path: Path
) -> None:
    with pytest.raises(DigitsError, match=expected) as caught:
        digits.load(saved(tmp_path))(images)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    model = BaselineClassifier([16])
    next(model.network.parameters()).data[0, 0] = value
    assert "is not finite: training has diverged" in message(saved(tmp_path, model))


def test_the_model_knows_its_classes_normalization_and_origin(tmp_path: Path) -> None:
    data = MNISTDataModule(source="sample", mean=None, std=None)
    data.prepare_data()
    data.setup("fit")
    save_model(tmp_path / "model.pt", DropoutClassifier([5], 0.25), data)
    loaded = digits.load(tmp_path)
    assert loaded.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    assert (loaded.mean, loaded.std) == (data.mean, data.std)
    assert loaded.record["dataset"] == "mnist-sample-5k"
    assert loaded.record["arguments"] == {
        "hidden": [5],
        "dropout_rate": 0.25,
        "input_dropout_rate": 0.0,
    }
    assert loaded.record["versions"]["torch"] == torch.__version__


def test_a_fresh_process_loads_it_without_lightning(tmp_path: Path) -> None:
    path = saved(tmp_path)
    torch.save(IMAGES, tmp_path / "images.pt")
    code = (
        "import sys, torch, digits; images = torch.load(sys.argv[2]); "
        "print(*digits.load(sys.argv[1])(images).argmax(1).tolist()); "
        "heavy = {'pytorch_lightning', 'torchmetrics', 'hydra', 'omegaconf', 'torchvision'}; "
        "sys.exit(', '.join(heavy & sys.modules.keys()) or None)"
    )
    output = subprocess.run(
        [sys.executable, "-c", code, str(path), str(tmp_path / "images.pt")],
        env=os.environ | {"PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert [int(each) for each in output.split()] == digits.load(path)(IMAGES).argmax(1).tolist()


def former_logits(path: Path) -> Tensor:
    images = (7 * torch.arange(784) % 256).to(torch.uint8).view(1, 1, 28, 28)
    logits: Tensor = digits.load(path)(images)[0]
    return logits


def test_a_model_of_the_release_before_computes_what_it_did() -> None:
    torch.testing.assert_close(former_logits(FORMER), torch.tensor(FORMER_LOGITS))
    content = read_model(FORMER)
    assert content["model"] == "digits.models.networks.MLP"
    assert content["arguments"] == {
        "hidden": [12],
        "dropout_rate": 0.2,
        "input_dropout_rate": 0.0,
    }


def test_a_checkpoint_of_the_release_before_is_loaded(tmp_path: Path) -> None:
    model = torch.load(FORMER, weights_only=True)
    data = model["split"] | model["normalization"] | {"dataset": model["dataset"]}
    checkpoint = {
        "pytorch-lightning_version": "2.6.0",
        "state_dict": {f"network.{name}": value for name, value in model["weights"].items()},
        "hyper_parameters": model["arguments"],
        "model": model["model"],
        "precision": "32-true",
        "MNISTDataModule": data,
    }
    torch.save(checkpoint, tmp_path / "last.ckpt")
    assert former_logits(tmp_path / "last.ckpt").equal(former_logits(FORMER))


def ensemble_of(content: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the content of an ensemble of the same model twice."""
    record = {key: value for key, value in content.items() if key != "weights"}
    weights = {
        f"members.{member}.network.{key}": value
        for member in range(2)
        for key, value in content["weights"].items()
    }
    normalization = {"mean": 0.0, "std": 1.0}
    own = {"model": name, "arguments": {"members": [record, record]}, "weights": weights}
    return content | own | {"normalization": normalization}


@pytest.mark.parametrize("former", [True, False])
def test_an_ensemble_of_a_model_with_itself_is_the_model(former: bool, tmp_path: Path) -> None:
    if former:
        content = torch.load(FORMER, weights_only=True)
        name = "digits.ensembles.classifier.EnsembleClassifier"
    else:
        content, name = read_model(FORMER), "digits.models.networks.Ensemble"
    write_model(tmp_path / "model.pt", ensemble_of(content, name))
    expected = former_logits(FORMER).log_softmax(0)
    torch.testing.assert_close(former_logits(tmp_path / "model.pt"), expected)


def test_a_runs_checkpoint_is_loaded_as_its_model_is(tmp_path: Path) -> None:
    adam = partial(torch.optim.Adam, lr=0.01)
    for name, model in {
        "ours": DropoutClassifier([8], max_norm=3.0, optimizer=adam),
        "own": OwnClassifier(width=5, optimizer=adam),
    }.items():
        trainer, data = fitting.trainer(max_epochs=1), fitting.images()
        trainer.fit(model, data)
        trainer.save_checkpoint(tmp_path / f"{name}.ckpt")
        save_model(tmp_path / f"{name}.pt", model, data, "32-true")
        from_model, from_checkpoint = (
            digits.load(tmp_path / f"{name}.{ending}") for ending in ("pt", "ckpt")
        )
        assert from_checkpoint(IMAGES).equal(from_model(IMAGES))
        versions = {"versions": from_model.record["versions"]}
        assert from_checkpoint.record | versions == from_model.record


class OwnClassifier(Classifier):
    """A network as a newcomer writes it."""

    def __init__(self, width: int = 3, **training: Any) -> None:
        super().__init__(**training)
        network = MLP([width], num_classes=self.num_classes)
        self.network = nn.Sequential(network, nn.LogSoftmax(1))


@pytest.mark.parametrize(
    "make",
    [
        partial(BaselineClassifier, (7, 6)),
        partial(DropoutClassifier, (7, 6), 0.1, 0.2, max_norm=3.0),
        partial(NoiseClassifier, (5, 4), 0.1, 0.2),
        partial(CnnClassifier, (3, 2), 0.4),
        partial(CnnClassifier, (3, 2), kernel_size=(5, 3), convolutions=1, pool=True, dense=7),
        OwnClassifier,
    ],
)
def test_a_network_is_made_again_with_as_many_outputs_as_its_data_has_classes(
    make: Callable[..., Classifier], tmp_path: Path
) -> None:
    data = MNISTDataModule(mean=MEAN, std=STD)
    data.classes = ("a", "b", "c")
    model = make(num_classes=3).eval()
    save_model(tmp_path / "model.pt", model, data)
    loaded = digits.load(tmp_path)
    assert loaded.classes == ("a", "b", "c")
    expected = model((IMAGES / 255 - MEAN) / STD)
    assert expected.shape == (len(IMAGES), 3)
    assert str(loaded.network) == str(model.network)
    torch.testing.assert_close(loaded(IMAGES), expected)
    assert "cannot build its network" in message(changed(tmp_path / "model.pt", classes=["a"]))


def test_a_network_from_a_file_on_the_path_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "network_of_my_own.py").write_text(
        "from torch import nn\n"
        "from digits.models import Classifier\n\n"
        "class Linear(Classifier):\n"
        "    def __init__(self, bias=True, **training):\n"
        "        super().__init__(**training)\n"
        "        self.network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10, bias))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    module: Any = __import__("network_of_my_own")
    model = module.Linear(bias=False)
    path = saved(tmp_path, model)
    assert digits.load(path)(IMAGES).equal(model.network((IMAGES / 255 - MEAN) / STD))
    monkeypatch.delitem(sys.modules, "network_of_my_own")
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each != str(tmp_path)])
    assert "cannot build its network network_of_my_own.Linear" in message(path)
    assert "PYTHONPATH" in message(path)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    assert message(tmp_path / "none.pt") == f"file {tmp_path / 'none.pt'} does not exist"
    assert message(tmp_path / "frist") == f"run directory {tmp_path / 'frist'} does not exist"
    (tmp_path / "first").mkdir()
    assert message(tmp_path / "frist").endswith(f"; did you mean {tmp_path / 'first'}?")
    assert "is not a run directory: it holds no model.pt" in message(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    last = f"{tmp_path}/checkpoints/last.ckpt"
    expected = f"{tmp_path} holds no model.pt; run its command again, or try {last}"
    assert message(tmp_path) == expected


@pytest.mark.parametrize("keep", [0, -100])
def test_a_damaged_file_is_refused_in_one_line(keep: int, tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    assert "damaged" in message(path)
    assert "\n" not in message(path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"format": 1}, "reads the formats 2 and 3: its format is 1"),
        ({"format": None}, "format is None"),
        ({"model": None}, "its model is missing or wrong"),
        ({"model": "torch.nn.modules.linear.Linear"}, "as a digits.models.Classifier"),
        ({"arguments": {"hidden": [17]}}, "cannot build its network"),
        ({"arguments": {"width": 17}}, "cannot build its network"),
        ({"weights": {}}, "cannot build its network"),
        ({"normalization": {"mean": 0.5}}, "cannot build its network"),
        (
            {"model": "digits.models.networks.Ensemble", "arguments": {"members": [{}]}},
            "cannot build its network",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    changes: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    path = changed(saved(tmp_path), **changes)
    found = message(path)
    assert found.startswith(str(path))
    assert expected in found
    assert "\n" not in found


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save({"pytorch-lightning_version": "2.6.0", "state_dict": {}}, tmp_path / "last.ckpt")
    assert "is not a checkpoint of this version of digits" in message(tmp_path / "last.ckpt")
