"""Exported files by their own runtimes, and what a difference or a failure does to them."""

import functools
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from safetensors import safe_open
from support import SMALL, train
from torch import Tensor, nn

import digits
from digits.__main__ import main
from digits.data.datamodule import MNISTDataModule
from digits.data.datasets import load_sample
from digits.errors import DigitsError
from digits.export import FORMATS, compare, export
from digits.model_file import TrainedClassifier, save_model
from digits.models import Classifier, CnnClassifier, NoiseClassifier

IMAGES = load_sample("test").images
MEAN, STD = 0.1306604762738429, 0.3081078038564622
"""With all the digits that a float has."""
ONNX, TORCH_EXPORT, SAFETENSORS = CACHED = [
    replace(form, encode=functools.cache(form.encode)) for form in FORMATS.values()
]
each_form = pytest.mark.parametrize("form", CACHED, ids=FORMATS)
each_input = pytest.mark.parametrize("pixels", ["floats", "bytes"])


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("runs") / "run"
    options = ("data.train_size=1280", "trainer.max_epochs=1", "norm=exact")
    train(folder, *SMALL, "model.hidden=[32,16]", *options)
    return folder


@pytest.fixture(scope="module")
def model(run_dir: Path) -> TrainedClassifier:
    return digits.load(run_dir)


def loaded(folder: Path, classifier: Classifier) -> TrainedClassifier:
    """Return the network as `digits.load` does."""
    datamodule = MNISTDataModule(source="sample", mean=MEAN, std=STD)
    datamodule.prepare_data()
    folder.mkdir(exist_ok=True)
    save_model(folder / "model.pt", classifier, datamodule)
    return digits.load(folder)


def without_digits(code: str, cwd: Path) -> str:
    """Run Python code in a process in which digits cannot be imported; return what it prints."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.modules['digits'] = None\n{code}"],
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def refusal(model: TrainedClassifier, form: Any, folder: Path, pixels: str = "floats") -> str:
    with pytest.raises(DigitsError) as caught:
        export(model, form, folder, pixels, IMAGES)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@each_form
@each_input
def test_batches_of_any_size_get_the_logits_of_the_original_and_exporting_is_quiet(
    form: Any,
    pixels: str,
    model: TrainedClassifier,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path, comparison = export(model, form, tmp_path, pixels, IMAGES)
    assert capfd.readouterr() == ("", "")
    assert path == tmp_path / form.file
    exported = form.open(path)
    with torch.no_grad():
        for size in (1, 7, 1000):
            images = IMAGES[-size:]
            found = exported(images if pixels == "bytes" else images / 255)
            torch.testing.assert_close(found, model(images), atol=1e-4, rtol=0)
    assert comparison.changed == []
    assert comparison.largest_logit == model(IMAGES).abs().max().item()


@pytest.mark.parametrize("form", [ONNX, TORCH_EXPORT], ids=["onnx", "torch-export"])
def test_the_file_is_the_same_each_time_and_says_nothing_of_this_machine(
    form: Any, model: TrainedClassifier
) -> None:
    content = form.encode(model, "floats")
    assert content == FORMATS[form.name].encode(model, "floats")
    for path in (Path(digits.__file__).parent, Path(torch.__file__).parent):
        assert str(path).encode() not in content


@pytest.mark.parametrize("form", [ONNX, TORCH_EXPORT], ids=["onnx", "torch-export"])
@each_input
def test_pixels_of_the_other_type_are_refused(
    form: Any, pixels: str, model: TrainedClassifier, tmp_path: Path
) -> None:
    (tmp_path / form.file).write_bytes(form.encode(model, pixels))
    others = IMAGES[:3] if pixels == "floats" else IMAGES[:3] / 255
    with pytest.raises(Exception, match=r"dtype mismatch|Unexpected input data type"):
        form.open(tmp_path / form.file)(others)


def test_an_onnx_file_has_the_promised_names_types_shapes_and_record(
    model: TrainedClassifier,
) -> None:
    proto = onnx.load_from_string(ONNX.encode(model, "bytes"))
    (images,), (output,) = proto.graph.input, proto.graph.output
    for value, name, type_, shape in (
        (images, "images", onnx.TensorProto.UINT8, ["batch", 1, 28, 28]),
        (output, "logits", onnx.TensorProto.FLOAT, ["batch", 10]),
    ):
        tensor = value.type.tensor_type
        found = [each.dim_param or each.dim_value for each in tensor.shape.dim]
        assert (value.name, tensor.elem_type, found) == (name, type_, shape)
    assert [(each.domain, each.version) for each in proto.opset_import] == [("", 18)]
    record = json.loads({each.key: each.value for each in proto.metadata_props}["digits"])
    more = {"digits": digits.__version__, "input": "uint8 from 0 to 255"}
    assert record == model.record | more
    assert more["input"] in proto.doc_string


def test_onnxruntime_alone_reads_model_onnx(model: TrainedClassifier, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(ONNX.encode(model, "floats"))
    np.save(tmp_path / "images.npy", (IMAGES[:50] / 255).numpy())
    code = (
        "import numpy, onnxruntime; sys.modules['torch'] = None\n"
        "session = onnxruntime.InferenceSession('model.onnx')\n"
        "images = numpy.load('images.npy')\n"
        "print(*session.run(['logits'], {'images': images})[0].argmax(1))"
    )
    found = [int(digit) for digit in without_digits(code, tmp_path).split()]
    assert found == model(IMAGES[:50]).argmax(1).tolist()


@pytest.mark.slow  # a process that imports torch
def test_torch_alone_reads_model_pt2_and_its_record(
    model: TrainedClassifier, tmp_path: Path
) -> None:
    (tmp_path / "model.pt2").write_bytes(TORCH_EXPORT.encode(model, "bytes"))
    torch.save(IMAGES[:50], tmp_path / "images.pt")
    code = (
        "import torch\n"
        "extra = {'digits': ''}\n"
        "model = torch.export.load('model.pt2', extra_files=extra).module()\n"
        "print(extra['digits'])\n"
        "print(*model(torch.load('images.pt')).argmax(1).tolist())"
    )
    record, predictions = without_digits(code, tmp_path).splitlines()
    assert json.loads(record)["normalization"] == model.record["normalization"]
    assert json.loads(record)["input"] == "uint8 from 0 to 255"
    found = [int(digit) for digit in predictions.split()]
    assert found == model(IMAGES[:50]).argmax(1).tolist()


def test_a_safetensors_file_holds_all_that_model_pt_does(
    model: TrainedClassifier, tmp_path: Path
) -> None:
    path, _ = export(model, SAFETENSORS, tmp_path, "floats", IMAGES)
    with safe_open(path, framework="pt") as file:
        assert file.metadata()["format"] == "pt"
        record = json.loads(file.metadata()["digits"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, weight in model.network.state_dict().items():
        assert weights.pop(name).equal(weight)
    assert not weights
    more = {"digits": digits.__version__, "input": "float32 in [0, 1] or uint8 from 0 to 255"}
    assert record == model.record | more


@pytest.mark.parametrize("form", [TORCH_EXPORT, SAFETENSORS], ids=["torch-export", "safetensors"])
def test_a_changed_weight_is_found_and_leaves_no_file(
    form: Any, model: TrainedClassifier, tmp_path: Path
) -> None:
    def changed(model: TrainedClassifier, pixels: str) -> bytes:
        """Write the weights with one of them, the last layer's bias for 3, moved by 50."""
        bias = list(model.network.parameters())[-1]
        with torch.no_grad():
            bias[3] += 50
            try:
                return FORMATS[form.name].encode(model, pixels)
            finally:
                bias[3] -= 50

    other = replace(form, encode=changed)
    found = refusal(model, other, tmp_path)
    assert f"{form.file} is not kept" in found
    assert "of 1,000 images" in found
    assert "largest difference of a logit: 50" in found
    assert not list(tmp_path.iterdir())
    older = b"an export of pixels that are float32 in [0, 1]"
    (tmp_path / form.file).write_bytes(older)
    assert "largest difference" in refusal(model, other, tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [older]


def test_a_file_that_its_runtime_cannot_read_is_not_kept(
    model: TrainedClassifier, tmp_path: Path
) -> None:
    for form in FORMATS.values():
        unreadable = replace(form, encode=lambda *_: b"not a model")
        assert f"{form.runtime} fails on it" in refusal(model, unreadable, tmp_path)
    assert not list(tmp_path.iterdir())


def test_logits_that_are_not_numbers_count_as_another_class(model: TrainedClassifier) -> None:
    found = compare(model, lambda images: model(images) * torch.nan, IMAGES, "bytes")
    assert len(found.changed) == len(IMAGES)


class LooksAtPixels(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        pixels = images.flatten(1)
        return pixels[:, :10] if pixels.sum() > 0 else pixels[:, 10:20]


class SingularValues(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        values: Tensor = torch.linalg.svdvals(images.squeeze(1))
        return values[:, :10]


class Layers(nn.Sequential):
    """What other networks are made of: convolution, batch normalization, attention."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 4, 3, stride=2, padding=1),
            nn.BatchNorm2d(4),
            nn.GELU(),
            nn.MaxPool2d(2),
            nn.Flatten(2),
            nn.TransformerEncoderLayer(49, 7, 8, batch_first=True),
            nn.Flatten(),
            nn.Linear(196, 10),
        )


class Own(Classifier):
    """A classifier of the user's own."""

    def __init__(self, kind: str, option: Any = None) -> None:
        super().__init__()
        self.network = globals()[kind]()


def test_a_network_that_cannot_be_followed_is_named_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = loaded(tmp_path / "run", Own("LooksAtPixels"))
    for form in (ONNX, TORCH_EXPORT):
        found = refusal(model, form, tmp_path)
        assert found.startswith(f"torch.export cannot follow the network {__name__}.Own (")
        assert "its forward must" in found
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_operation_that_onnx_lacks_is_named_in_one_line(tmp_path: Path) -> None:
    found = refusal(loaded(tmp_path, Own("SingularValues")), ONNX, tmp_path)
    assert "Own cannot be written as ONNX" in found
    assert "_linalg_svd" in found
    assert found.endswith("try --to torch-export")


@pytest.mark.slow  # 12 exports
@each_form
@pytest.mark.parametrize(
    "make",
    [
        lambda: NoiseClassifier([32, 16]),
        lambda: CnnClassifier([4, 8]),
        lambda: CnnClassifier([4, 6, 8], 0.0, [5, 3, 3], 1, pool=True, dense=7),
        lambda: Own("Layers"),
    ],
    ids=["noise", "cnn", "cnn-pooled", "layers"],
)
def test_networks_are_exported_as_they_are_in_evaluation(
    make: Callable[[], Classifier], form: Any, tmp_path: Path
) -> None:
    classifier = make()
    classifier.network.train()
    with torch.no_grad():
        classifier.network(IMAGES[:100] / 255)  # moves the means of batch normalization
    model = loaded(tmp_path, classifier)
    path, _ = export(model, form, tmp_path, "floats", IMAGES[:100])
    found, expected = form.open(path)(IMAGES[:20] / 255).detach(), model(IMAGES[:20]).detach()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_the_verb_writes_onnx_and_prints_the_largest_difference(
    run_dir: Path, model: TrainedClassifier, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "some [1]" / "where"
    assert main(["export", str(run_dir), "--out", str(out)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    size = (out / "model.onnx").stat().st_size
    assert first == f"{out}/model.onnx: {size:,} bytes; pixels: float32 in [0, 1]"
    assert "by onnxruntime, the same class for all 1,000 test images of mnist-sample-5k" in second
    printed = re.search(r"largest difference of a logit (\S+), of logits up to (\S+)$", second)
    assert printed
    session = onnxruntime.InferenceSession(out / "model.onnx")
    (logits,) = session.run(["logits"], {"images": (IMAGES / 255).numpy()})
    expected = model(IMAGES).detach()
    difference = (torch.from_numpy(logits) - expected).abs().max().item()
    assert float(printed[1]) == pytest.approx(difference, rel=0.5, abs=1e-6)
    assert float(printed[2]) == pytest.approx(expected.abs().max().item(), abs=0.06)


def test_exports_go_into_the_run_directory_and_those_of_a_checkpoint_beside(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = ["--to", "safetensors,torch-export", "--to", "safetensors"]
    assert main(["export", str(run_dir / "model.pt"), *to, "--input", "bytes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" bytes; ")[0].rpartition("/")[2] for line in lines[::2]] == [
        f"{name}: {(run_dir / name).stat().st_size:,}"
        for name in ("model.safetensors", "model.pt2")
    ]
    last = run_dir / "checkpoints" / "last.ckpt"
    assert main(["export", str(last), "--to", "safetensors"]) == 0
    assert (run_dir / "export-last" / "model.safetensors").exists()


def test_only_an_export_is_replaced(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export_there = ["export", str(run_dir), "--to", "safetensors", "--out", str(tmp_path)]
    assert main(export_there) == main([*export_there, "--input", "bytes"]) == 0
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"mine")
    assert main(export_there) == 1
    assert file.read_bytes() == b"mine"
    assert main([*export_there[:-1], str(file)]) == 1
    assert "--out takes a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("onnx", "needs onnxruntime, onnxscript; try pip install onnxruntime onnxscript"),
        ("torch-export,safetensors", "needs safetensors; try pip install safetensors"),
        ("torchscript", "must be one of onnx, torch-export, safetensors, got 'torchscript'"),
    ],
)
def test_missing_packages_and_unknown_formats_are_named_before_anything_is_read(
    to: str,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    find_spec = importlib.util.find_spec

    def without(package: str) -> ModuleSpec | None:
        missing = package in ("onnxruntime", "onnxscript", "safetensors")
        return None if missing else find_spec(package)

    monkeypatch.setattr("importlib.util.find_spec", without)
    assert main(["export", str(tmp_path / "no such run"), "--to", to]) == 1
    assert expected in capsys.readouterr().err
