import functools
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from torch import Tensor, nn

import digits
from digits.artifact import TrainedClassifier
from digits.errors import DigitsError
from digits.exporting import to_onnx
from digits.exporting.to_onnx import open_file
from digits.models import BaselineClassifier, Classifier
from exporting.exported_models import MEAN, SAMPLE_TEST, STD, loaded, without_digits

IMAGES = SAMPLE_TEST.images

encode = functools.cache(to_onnx.encode)
"""Takes half a second."""


def logits(content: bytes, images: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (output,) = session.run(["logits"], {"images": images.numpy()})
    return torch.from_numpy(output)


@pytest.mark.parametrize("pixels", ["floats", "bytes"])
def test_batches_of_any_size_get_the_logits_of_the_original(
    model: TrainedClassifier, pixels: str
) -> None:
    content = encode(model, pixels)
    for size in (1, 7, 1000):
        images = IMAGES[-size:]
        found = logits(content, images if pixels == "bytes" else images / 255)
        torch.testing.assert_close(found, model(images).detach(), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("pixels", "dtype"), [("floats", 1), ("bytes", 2)])
def test_names_types_and_shapes_are_as_promised(
    baseline: TrainedClassifier, pixels: str, dtype: int
) -> None:
    proto = onnx.load_from_string(encode(baseline, pixels))
    (images,), (output,) = proto.graph.input, proto.graph.output
    for value, name, type_, shape in (
        (images, "images", dtype, ["batch", 1, 28, 28]),
        (output, "logits", 1, ["batch", 10]),
    ):
        assert value.name == name
        assert value.type.tensor_type.elem_type == type_
        found = [each.dim_param or each.dim_value for each in value.type.tensor_type.shape.dim]
        assert found == shape
    assert [(each.domain, each.version) for each in proto.opset_import] == [("", 18)]
    assert all(each.data_location == onnx.TensorProto.DEFAULT for each in proto.graph.initializer)


def test_the_graph_is_the_network_and_its_normalization(dropout: TrainedClassifier) -> None:
    operations = [
        node.op_type for node in onnx.load_from_string(encode(dropout, "bytes")).graph.node
    ]
    assert operations == ["Cast", "Div", "Sub", "Div", "Reshape", *["Gemm", "Relu"] * 2, "Gemm"]


def test_the_metadata_tell_where_the_file_is_from(baseline: TrainedClassifier) -> None:
    proto = onnx.load_from_string(encode(baseline, "bytes"))
    record = json.loads({each.key: each.value for each in proto.metadata_props}["digits"])
    assert record["model"] == "digits.models.baseline.BaselineClassifier"
    assert record["normalization"] == {"mean": MEAN, "std": STD}
    assert record["classes"] == list("0123456789")
    assert record["dataset"] == "mnist-sample-5k"
    assert record["digits"] == digits.__version__
    assert record["input"] == "uint8 from 0 to 255"
    assert "uint8 from 0 to 255" in proto.doc_string


def test_the_file_is_the_same_each_time_and_tells_nothing_of_this_machine(
    baseline: TrainedClassifier,
) -> None:
    content = encode(baseline, "floats")
    assert content == to_onnx.encode(baseline, "floats")
    for path in (Path(digits.__file__).parent, Path(torch.__file__).parent):
        assert str(path).encode() not in content


def test_onnxruntime_alone_reads_it(baseline: TrainedClassifier, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(encode(baseline, "floats"))
    np.save(tmp_path / "images.npy", (IMAGES[:50] / 255).numpy())
    code = (
        "import numpy, onnxruntime; sys.modules['torch'] = None\n"
        "session = onnxruntime.InferenceSession('model.onnx')\n"
        "images = numpy.load('images.npy')\n"
        "print(*session.run(['logits'], {'images': images})[0].argmax(1))"
    )
    found = [int(digit) for digit in without_digits(code, cwd=tmp_path).split()]
    assert found == baseline(IMAGES[:50]).argmax(1).tolist()


def test_pixels_of_the_other_kind_are_refused(baseline: TrainedClassifier, tmp_path: Path) -> None:
    for pixels, images in (("floats", IMAGES[:3]), ("bytes", IMAGES[:3] / 255)):
        (tmp_path / "model.onnx").write_bytes(encode(baseline, pixels))
        with pytest.raises(Exception, match="Unexpected input data type"):
            open_file(tmp_path / "model.onnx")(images)


class SingularValues(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        values: Tensor = torch.linalg.svdvals(images.squeeze(1))
        return values[:, :10]


class OutsideOnnx(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.network = SingularValues()


def test_an_operation_that_onnx_lacks_is_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DigitsError) as caught:
        encode(loaded(tmp_path, OutsideOnnx()), "floats")
    message = str(caught.value)
    assert "OutsideOnnx cannot be written as ONNX" in message
    assert "_linalg_svd" in message
    assert message.endswith("try --to torch-export")
    assert "\n" not in message


class Convolutions(Classifier):
    """What other networks are made of: convolution, batch normalization, attention, recurrence."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1),
            nn.BatchNorm2d(4),
            nn.GELU(),
            nn.MaxPool2d(2),
            nn.Flatten(2),
            nn.TransformerEncoderLayer(49, 7, 8, batch_first=True),
            nn.Flatten(),
            nn.Linear(196, 10),
        )


def test_other_networks_can_be_exported_too(tmp_path: Path) -> None:
    model = loaded(tmp_path, Convolutions())
    content = encode(model, "floats")
    for size in (1, 20):
        found = logits(content, IMAGES[:size] / 255)
        torch.testing.assert_close(found, model(IMAGES[:size]).detach(), atol=1e-4, rtol=0)


def test_no_scale_of_the_pixels_is_lost(tmp_path: Path) -> None:
    """One white pixel has the same effect in both kinds of file."""
    model = loaded(tmp_path, BaselineClassifier([8]))
    image = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    image[0, 0, 14, 14] = 255
    as_bytes = logits(encode(model, "bytes"), image)
    as_floats = logits(encode(model, "floats"), (image == 255).float())
    assert as_bytes.equal(as_floats)
    assert not as_bytes.equal(logits(encode(model, "bytes"), image // 255))
