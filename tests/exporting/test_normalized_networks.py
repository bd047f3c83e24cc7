"""Networks with batch normalization, whose exported form has to be that of evaluation."""

from pathlib import Path

import onnx
import pytest
import torch

import digits
from digits.exporting.formats import FORMATS, Format
from digits.exporting.to_onnx import encode
from digits.models import Classifier, CnnClassifier, NoiseClassifier
from exporting.exported_models import SAMPLE_TEST, trained

IMAGES = SAMPLE_TEST.images[:100]
NETWORKS = [NoiseClassifier([32, 16]), CnnClassifier([4, 8])]


@pytest.mark.parametrize("network", NETWORKS, ids=["noise", "cnn"])
@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS.keys())
def test_every_form_gives_the_logits_of_the_original(
    network: Classifier, form: Format, tmp_path: Path
) -> None:
    model, file = digits.load(trained(tmp_path, network, num_steps=5)), tmp_path / form.file
    file.write_bytes(form.writer().encode(model, "floats"))
    opened = form.writer().open_file(file)
    for size in (1, 100):
        images = IMAGES[:size].float() / 255
        expected = model(images).detach()
        torch.testing.assert_close(opened(images).detach(), expected, atol=1e-4, rtol=1e-4)


def test_no_noise_is_left_in_the_graph(tmp_path: Path) -> None:
    model = digits.load(trained(tmp_path, NoiseClassifier([32, 16]), num_steps=1))
    proto = onnx.load_from_string(encode(model, "floats"))
    assert not any("Random" in node.op_type for node in proto.graph.node)
