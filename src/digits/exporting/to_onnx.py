"""model.onnx: the graph for onnxruntime and whatever else reads ONNX."""

from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime  # type: ignore[import-untyped]
import torch
from torch import Tensor
from torch.export import ExportedProgram

from digits.artifact import TrainedClassifier
from digits.errors import DigitsError
from digits.exporting.capture import capture, quiet, reason
from digits.exporting.formats import INPUTS
from digits.exporting.record import KEY, as_json

OPSET = 18
"""What torch writes without a conversion; onnxruntime reads it since 1.14 (February 2023)."""


def encode(model: TrainedClassifier, pixels: str) -> bytes:
    """Returns the content of model.onnx: input `images`, output `logits`, weights inside.

    The metadata's `digits` is the model's record.

    Raises:
        DigitsError: torch.export cannot follow the network, or ONNX lacks one of its operations.
    """
    program = capture(model, pixels)
    try:
        with quiet():
            proto = _converted(program)
        _drop_traces(proto.graph)
        proto.doc_string = (
            f"Handwritten digits. images: (batch, 1, 28, 28), {INPUTS[pixels]}, light ink on a "
            "dark ground; logits: (batch, 10), whose softmax gives the digits' probabilities."
        )
        onnx.helper.set_model_props(proto, {KEY: as_json(model, [pixels], default=repr)})
        onnx.checker.check_model(proto, full_check=True)
    except Exception as error:  # the converter has no error class of its own
        raise DigitsError(
            f"the network {model.record['model']} cannot be written as ONNX: {reason(error)}; "
            "try --to torch-export"
        ) from error
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _converted(program: ExportedProgram) -> onnx.ModelProto:
    converted = torch.onnx.export(
        program,
        (),
        dynamo=True,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes={"images": {0: "batch"}},  # only names the axis, which is dynamic already
        opset_version=OPSET,
        external_data=False,
        verbose=False,
    )
    assert converted is not None
    return converted.model_proto


def _drop_traces(graph: onnx.GraphProto) -> None:
    """Removes notes of where on this machine each operation's code lies."""
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _drop_traces(inner)


def open_file(path: Path) -> Callable[[Tensor], Tensor]:
    """Loads a model.onnx by onnxruntime, on the CPU."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def logits(images: Tensor) -> Tensor:
        (output,) = session.run(["logits"], {"images": images.numpy()})
        return torch.from_numpy(output)

    return logits
