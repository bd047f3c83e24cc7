import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import digits
from digits.artifact import save_model
from digits.data.datamodule import MNISTDataModule
from digits.data.sample import load_sample
from digits.errors import DigitsError
from digits.models import BaselineClassifier, Classifier, DropoutClassifier

SRC = Path(digits.__file__).parents[1]
MEAN, STD = 0.13, 0.31
IMAGES = load_sample("test").images[:200]


def saved(folder: Path, model: Classifier | None = None) -> Path:
    path = folder / "model.pt"
    save_model(path, model or BaselineClassifier([16]), MNISTDataModule(mean=MEAN, std=STD))
    return path


def changed(path: Path, **changes: Any) -> Path:
    """The same file with other content; `None` leaves a key out."""
    content = torch.load(path, weights_only=True) | changes
    torch.save({key: value for key, value in content.items() if value is not None}, path)
    return path


def message(path: Path) -> str:
    with pytest.raises(DigitsError) as caught:
        digits.load(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "model", [BaselineClassifier([9]), BaselineClassifier(), DropoutClassifier([12, 7], 0.4)]
)
def test_the_loaded_model_computes_what_the_saved_one_did(
    model: Classifier, tmp_path: Path
) -> None:
    loaded = digits.load(saved(tmp_path, model))
    expected = model.eval()((IMAGES / 255 - MEAN) / STD)
    assert loaded(IMAGES).equal(expected)
    assert not loaded.training
    assert not any(module.training for module in loaded.modules())


def test_bytes_and_floats_from_0_to_1_get_the_same_logits(tmp_path: Path) -> None:
    loaded = digits.load(saved(tmp_path))
    assert loaded(IMAGES).equal(loaded(IMAGES / 255))
    assert loaded(IMAGES).shape == (200, 10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_floats_of_any_precision_are_taken(dtype: torch.dtype, tmp_path: Path) -> None:
    loaded = digits.load(saved(tmp_path))
    found = loaded((IMAGES.double() / 255).to(dtype))
    torch.testing.assert_close(found, loaded(IMAGES), atol=0.02, rtol=0.01)


def test_images_are_left_as_they_were(tmp_path: Path) -> None:
    images = IMAGES / 255
    digits.load(saved(tmp_path))(images)
    assert images.equal(IMAGES / 255)


def test_a_run_directory_stands_for_its_model(tmp_path: Path) -> None:
    path = saved(tmp_path)
    assert digits.load(tmp_path)(IMAGES).equal(digits.load(str(path))(IMAGES))


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
        "max_norm": None,
    }
    assert loaded.record["versions"]["torch"] == torch.__version__


def test_the_file_holds_plain_values_only(tmp_path: Path) -> None:
    content = torch.load(saved(tmp_path), weights_only=True)
    assert content["model"] == "digits.models.baseline.BaselineClassifier"
    assert set(content["weights"]) == set(BaselineClassifier([16]).network.state_dict())


def test_a_fresh_process_loads_it(tmp_path: Path) -> None:
    path = saved(tmp_path)
    torch.save(IMAGES, tmp_path / "images.pt")
    code = (
        "import sys, torch, digits; images = torch.load(sys.argv[2]); "
        "print(*digits.load(sys.argv[1])(images).argmax(1).tolist())"
    )
    output = subprocess.run(
        [sys.executable, "-c", code, str(path), str(tmp_path / "images.pt")],
        env=os.environ | {"PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert [int(each) for each in output.split()] == digits.load(path)(IMAGES).argmax(1).tolist()


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
    expected = (IMAGES / 255 - MEAN) / STD @ model.network[1].weight.T.reshape(1, 28, 28, 10)
    assert expected.shape[0] == 200
    logits = digits.load(path)(IMAGES)
    assert logits.equal(model.network((IMAGES / 255 - MEAN) / STD))
    monkeypatch.delitem(sys.modules, "network_of_my_own")
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each != str(tmp_path)])
    assert "needs the network network_of_my_own.Linear" in message(path)
    assert "PYTHONPATH" in message(path)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    assert message(tmp_path / "none.pt") == f"there is no file {tmp_path / 'none.pt'}"
    assert "is no run directory: it holds no model.pt" in message(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    assert f"not come to its end; try {tmp_path}/checkpoints/last.ckpt" in message(tmp_path)


@pytest.mark.parametrize("keep", [0, 10, -100])
def test_a_damaged_file_is_told_in_one_line(keep: int, tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    assert "damaged" in message(path)
    assert "\n" not in message(path)


class Bomb:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_foreign_pickle_is_refused_and_does_not_run(tmp_path: Path) -> None:
    torch.save({"format": 1, "model": Bomb(tmp_path / "exploded")}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps({"format": Bomb(tmp_path / "exploded")}))
    for name in ("a.pt", "b.pt"):
        assert "more than plain values" in message(tmp_path / name)
        assert "\n" not in message(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"format": 3}, "format 3"),
        ({"format": None}, "format None"),
        ({"model": None}, "lacks model"),
        ({"model": "digits.models.baseline.None"}, "cannot be imported"),
        ({"model": "no.such.Thing"}, "no.such.Thing"),
        ({"model": "Thing"}, "Thing"),
        ({"model": "torch.nn.modules.linear.Linear"}, "no digits.models.Classifier"),
        ({"model": "os.getcwd"}, "no digits.models.Classifier"),
        ({"arguments": {"hidden": [17]}}, "does not fit"),
        ({"arguments": {"width": 17}}, "does not fit"),
        ({"arguments": None}, "lacks arguments"),
        ({"weights": {}}, "does not fit"),
        ({"weights": None}, "lacks weights"),
        ({"normalization": None}, "lacks mean, normalization, std"),
        ({"normalization": {"mean": 0.5}}, "lacks std"),
        ({"classes": None}, "lacks classes"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(
    changes: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    path = changed(saved(tmp_path), **changes)
    found = message(path)
    assert str(path) in found
    assert expected in found
    assert "\n" not in found


def test_a_checkpoint_of_lightnings_is_no_model_file(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "epoch": 3, "global_step": 100}, tmp_path / "last.ckpt")
    assert "is no model.pt" in message(tmp_path / "last.ckpt")
