import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from digits.artifact import TrainedClassifier
from digits.errors import DigitsError
from digits.exporting.to_safetensors import encode, open_file, read
from digits.models import Classifier
from exporting.exported_models import MEAN, SAMPLE_TEST, STD, loaded, without_digits

IMAGES = SAMPLE_TEST.images


def written(folder: Path, model: TrainedClassifier) -> Path:
    path = folder / "model.safetensors"
    path.write_bytes(encode(model, "floats"))
    return path


def test_the_rebuilt_model_computes_what_the_original_does(
    model: TrainedClassifier, tmp_path: Path
) -> None:
    rebuilt = open_file(written(tmp_path, model))
    for size in (1, 7, 1000):
        assert rebuilt(IMAGES[:size]).equal(model(IMAGES[:size]))
        assert rebuilt(IMAGES[:size] / 255).equal(model(IMAGES[:size]))


def test_it_holds_all_that_model_pt_does(dropout: TrainedClassifier, tmp_path: Path) -> None:
    content = read(written(tmp_path, dropout))
    for name, weight in dropout.network.state_dict().items():
        assert content["weights"].pop(name).equal(weight)
    assert not content.pop("weights")
    assert content.pop("input") == "float32 in [0, 1] or uint8 from 0 to 255"
    assert content.pop("digits")
    assert content == dropout.record
    assert content["normalization"] == {"mean": MEAN, "std": STD}
    assert content["arguments"] == {
        "hidden": [48, 24],
        "dropout_rate": 0.3,
        "input_dropout_rate": 0.0,
        "max_norm": None,
    }


def test_safetensors_and_torch_alone_are_enough_to_use_it(
    baseline: TrainedClassifier, tmp_path: Path
) -> None:
    written(tmp_path, baseline)
    torch.save(IMAGES[:50], tmp_path / "images.pt")
    code = (
        "import json, torch\n"
        "from safetensors import safe_open\n"
        "with safe_open('model.safetensors', framework='pt') as file:\n"
        "    record = json.loads(file.metadata()['digits'])\n"
        "    weights = {name: file.get_tensor(name) for name in file.keys()}\n"
        "sizes = [784, *record['arguments']['hidden'], 10]\n"
        "layers = [torch.nn.Flatten()]\n"
        "for size, next_size in zip(sizes, sizes[1:]):\n"
        "    layers += [torch.nn.Linear(size, next_size), torch.nn.ReLU()]\n"
        "network = torch.nn.Sequential(*layers[:-1])\n"
        "network.load_state_dict(weights)\n"
        "mean, std = record['normalization']['mean'], record['normalization']['std']\n"
        "images = (torch.load('images.pt') / 255 - mean) / std\n"
        "print(*network(images).argmax(1).tolist())"
    )
    found = [int(digit) for digit in without_digits(code, cwd=tmp_path).split()]
    assert found == baseline(IMAGES[:50]).argmax(1).tolist()


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(784, 10, bias=False), nn.Linear(10, 784, bias=False)
        self.up.weight = nn.Parameter(self.down.weight.t())  # a view, and not contiguous
        self.again = self.down

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.again(self.up(self.down(images.flatten(1))))
        return logits


class TiedClassifier(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.network = Tied()


def test_tied_weights_are_no_obstacle(tmp_path: Path) -> None:
    model = loaded(tmp_path, TiedClassifier())
    assert open_file(written(tmp_path, model))(IMAGES[:9]).equal(model(IMAGES[:9]))


class Typed(Classifier):
    def __init__(self, precision: Any = torch.float32) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10, dtype=precision))


def test_an_argument_that_is_no_plain_value_is_named_in_one_line(tmp_path: Path) -> None:
    model = loaded(tmp_path, Typed())
    with pytest.raises(DigitsError) as caught:
        encode(model, "floats")
    assert f"arguments of {__name__}.Typed" in str(caught.value)
    assert "dtype" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_metadata_are_strings_that_other_readers_of_the_format_know(
    baseline: TrainedClassifier, tmp_path: Path
) -> None:
    with safe_open(written(tmp_path, baseline), framework="np") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pt"
    assert json.loads(metadata["digits"])["dataset"] == "mnist-sample-5k"
