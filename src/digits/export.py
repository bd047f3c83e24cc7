"""Trained models for other runtimes: written, loaded there, compared with the original, then kept.

ONNX and safetensors are imported only where such a file is written: they are optional.
"""

import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from digits.data.datasets import SIDE
from digits.errors import DigitsError
from digits.files import whole_file
from digits.model_file import TrainedClassifier, from_content
from digits.text import first_line

Runtime = Callable[[Tensor], Tensor]
"""A model as its runtime loads it: images to logits."""

INPUTS = {"floats": "float32 in [0, 1]", "bytes": "uint8 from 0 to 255"}
DTYPES = {"floats": torch.float32, "bytes": torch.uint8}
PACKAGES = {"onnx": ("onnx", "onnxruntime", "onnxscript"), "safetensors": ("safetensors",)}
KEY = "digits"
"""The name of the model's record, a JSON document, in a file's metadata."""
OPSET = 18
"""What torch writes without a conversion; onnxruntime reads it since 1.14 (February 2023)."""
BATCH_SIZE = 1000


@dataclass(frozen=True)
class Format:
    """A file format, one per value of `--to`."""

    name: str
    file: str
    runtime: str
    encode: Callable[[TrainedClassifier, str], bytes]  # for pixels that are "floats" or "bytes"
    open: Callable[[Path], Runtime]

    def check_packages(self) -> None:
        """Raise unless the packages are installed, without importing them."""
        needed = PACKAGES.get(self.name, ())
        missing = [name for name in needed if not importlib.util.find_spec(name)]
        if missing:
            raise DigitsError(
                f"digits export --to {self.name} needs {', '.join(missing)}; "
                f"try pip install {' '.join(missing)}"
            )


@dataclass(frozen=True)
class Comparison:
    """The logits of an exported model beside the original's, both maxima absolute.

    `changed` are the indices of images that get another class, or logits that are not finite.
    """

    largest_difference: float
    largest_logit: float
    changed: list[int]


def export(
    model: TrainedClassifier, form: Format, folder: Path, pixels: str, images: Tensor
) -> tuple[Path, Comparison]:
    """Write a model in a format, and keep the file if it predicts the same there.

    If not, nothing is left behind, and an older file stays.

    Args:
        model: the original, in `eval()` mode.
        form: the format.
        folder: where to write.
        pixels: what the exported model takes, "floats" in [0, 1] or "bytes".
        images: what both are compared on, uint8 (n, 1, 28, 28).

    Raises:
        DigitsError: the network cannot be exported, an image gets another class, or a file of that
            name in the folder is not an export.
    """
    path = folder / form.file
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists():
        old = path.read_bytes()
        if not any(text.encode() in old for text in INPUTS.values()):
            raise DigitsError(f"{path} was not written by digits export; try --out NEW_FOLDER")
    with whole_file(path) as temporary:
        temporary.write_bytes(form.encode(model, pixels))
        try:
            comparison = compare(model, form.open(temporary), images, pixels)
        except Exception as error:  # each runtime has errors of its own
            raise DigitsError(
                f"{form.file} is not kept: {form.runtime} fails on it ({_cause(error)})"
            ) from error
        if comparison.changed:
            raise DigitsError(
                f"{form.file} is not kept: {form.runtime} gives another class than the original "
                f"for {len(comparison.changed):,} of {len(images):,} images, first for image "
                f"{comparison.changed[0]}; largest difference of a logit: "
                f"{comparison.largest_difference:.2g}"
            )
    return path, comparison


@torch.no_grad()
def compare(original: Runtime, exported: Runtime, images: Tensor, pixels: str) -> Comparison:
    """Compare logits and predictions on images, uint8 (n, 1, 28, 28), in batches of two sizes."""
    batches = [images[:1], *torch.split(images[1:], BATCH_SIZE)]
    expected = torch.cat([original(batch) for batch in batches])
    found = torch.cat([exported(batch / 255 if pixels == "floats" else batch) for batch in batches])
    changed = (found.argmax(1) != expected.argmax(1)) | ~found.isfinite().all(1)
    return Comparison(
        (found - expected).abs().max().item(),
        expected.abs().max().item(),
        changed.nonzero().flatten().tolist(),
    )


def _record(model: TrainedClassifier, pixels: str) -> str:
    more = {"digits": version("digits"), "input": pixels}
    return json.dumps(model.record | more, default=repr)


class _OnePixelType(nn.Module):
    """A model that takes pixels of one type, as a graph must."""

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.dtype = model, dtype

    def forward(self, images: Tensor) -> Tensor:
        # torch.export makes a check of this cast: model.pt2 refuses pixels of another type, which
        # it would otherwise take for 255 times as dark or as bright.
        logits: Tensor = self.model(images.to(self.dtype))
        return logits


def capture(model: TrainedClassifier, pixels: str) -> ExportedProgram:
    """Return the model as a graph, normalization included, for a batch of any size."""
    # With one image, the batch's size would be taken as 1.
    example = torch.zeros(2, 1, SIDE, SIDE, dtype=DTYPES[pixels])
    network, shapes = _OnePixelType(model, DTYPES[pixels]), {"images": {0: Dim("batch")}}
    try:
        with _quiet():
            program = torch.export.export(network, (example,), dynamic_shapes=shapes)
    except Exception as error:  # whatever the network's own code stumbles over
        raise DigitsError(
            f"torch.export cannot follow the network {model.record['model']} ({_cause(error)}); "
            "its forward must consist of tensor operations that are the same for all images and "
            "for any number of them"
        ) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


def _to_pt2(model: TrainedClassifier, pixels: str) -> bytes:
    program, file = capture(model, pixels), io.BytesIO()
    with _quiet():
        torch.export.save(program, file, extra_files={KEY: _record(model, INPUTS[pixels])})
    return file.getvalue()


def _open_pt2(path: Path) -> Runtime:
    with _quiet():
        return torch.export.load(path).module()


def _to_onnx(model: TrainedClassifier, pixels: str) -> bytes:
    program = capture(model, pixels)
    try:
        with _quiet():
            converted = torch.onnx.export(
                program,
                (),
                dynamo=True,
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes={"images": {0: "batch"}},  # only names the axis
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
        assert converted is not None
        proto = converted.model_proto
    except Exception as error:  # the converter has no error class of its own
        raise DigitsError(
            f"the network {model.record['model']} cannot be written as ONNX ({_cause(error)}); "
            "try --to torch-export"
        ) from error
    graph = proto.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]  # paths of this machine
    proto.doc_string = (
        f"images: (batch, 1, 28, 28), {INPUTS[pixels]}, light ink on a dark ground; logits: "
        f"(batch, {len(model.classes)}), whose softmax gives the probabilities of "
        f"{', '.join(model.classes)}."
    )
    proto.metadata_props.add(key=KEY, value=_record(model, INPUTS[pixels]))
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _open_onnx(path: Path) -> Runtime:
    import onnxruntime  # type: ignore[import-untyped]

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def logits(images: Tensor) -> Tensor:
        (output,) = session.run(["logits"], {"images": images.numpy()})
        return torch.from_numpy(output)

    return logits


def _to_safetensors(model: TrainedClassifier, _: str) -> bytes:
    import safetensors.torch

    # The format refuses two names for one tensor (as with tied weights), so each is copied.
    state = model.network.state_dict()
    weights = {name: weight.contiguous().clone() for name, weight in state.items()}
    record = _record(model, " or ".join(INPUTS.values()))  # a rebuilt model takes both
    return safetensors.torch.save(weights, metadata={"format": "pt", KEY: record})


def _open_safetensors(path: Path) -> TrainedClassifier:
    import safetensors.torch

    with safetensors.safe_open(path, framework="pt") as file:
        record = json.loads(file.metadata()[KEY])
    return from_content(path, record | {"weights": safetensors.torch.load_file(path)})


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's exporters, which warn of their internals and print graphs before errors."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _cause(error: BaseException) -> str:
    """Return the first line of the error at the bottom of the chain; torch writes many."""
    while error.__cause__:
        error = error.__cause__
    line = first_line(error).partition(" For more information")[0]
    return f"{type(error).__name__}: {line}".rstrip(".: ")


FORMATS = {
    each.name: each
    for each in (
        Format("onnx", "model.onnx", "onnxruntime", _to_onnx, _open_onnx),
        Format("torch-export", "model.pt2", "torch.export", _to_pt2, _open_pt2),
        Format(
            "safetensors", "model.safetensors", "safetensors", _to_safetensors, _open_safetensors
        ),
    )
}
