"""A page in which one writes a digit: trained networks in plain JavaScript, in one offline file."""

import base64
import json
import math
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from digits.data.datasets import SIDE, load_sample
from digits.data.validation import read_validation
from digits.errors import DigitsError
from digits.files import whole_file
from digits.model_file import TrainedClassifier
from digits.models import networks
from digits.page import checksum, may_replace, render
from digits.text import plural

PAGE = "draw.html"
PARTS = Path(__file__).with_name("pages")
NUM_CHECKED = 100
TOLERANCE = 1e-3
"""Largest difference of a logit from torch's, as a share of the largest logit."""

# What Node runs: the page's own networks on images from standard input, 784 bytes each.
CHECK = """
const { readFileSync } = require("fs"), page = readFileSync(process.argv[1], "utf8");
const part = (id) => RegExp(`<script id="${id}"[^>]*>([^]*?)</script>`).exec(page)[1];
const { withWeights, logits } = new Function(part("engine") + "; return { withWeights, logits }")();
const images = readFileSync(0), answers = JSON.parse(part("networks-data")).map((network) => {
  const whole = withWeights(network), rows = [];
  for (let i = 0; i < images.length; i += 784) {
    const pixels = Float64Array.from(images.subarray(i, i + 784), (byte) => byte / 255);
    rows.push(Array.from(logits(whole, pixels)));
  }
  return rows;
});
process.stdout.write(JSON.stringify(answers));
"""


def write_draw_page(
    folder: Path, models: Mapping[str, TrainedClassifier], data_dir: Path
) -> tuple[int, float] | None:
    """Write the page of these networks, whole or not at all, and check it with Node.

    Args:
        folder: where; only an older page of ours is replaced.
        models: what `load` returned, by the name that the page shows.
        data_dir: where the validation images are, which calibrate the probabilities.

    Returns:
        The number of images on which the page's logits were compared with torch's, and the largest
        difference, as a share of the largest logit; `None` if there is no Node.

    Raises:
        DigitsError: a network has layers that the page cannot compute, its logits differ, or
            another file is in the way.
    """
    may_replace(folder, PAGE)
    first, *others = models.items()
    for name, model in others:
        if model.classes != first[1].classes:
            raise DigitsError(f"{name} has other classes than {first[0]}; try a page for each")
    described = [
        {"name": name, "temperature": temperature(model, data_dir)} | describe(name, model)
        for name, model in models.items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / PAGE) as temporary:
        temporary.write_text(_page(described), encoding="utf-8", newline="\n")
        return _check(temporary, models) if shutil.which("node") else None


def _page(described: Sequence[Mapping[str, Any]]) -> str:
    files = ("../page.css", "draw.css", "network.js", "draw.js")
    page_css, draw_css, engine, interface = (
        (PARTS / file).read_text(encoding="utf-8") for file in files
    )
    style = page_css + draw_css
    policy = (
        f"default-src 'none'; script-src {checksum(engine)} {checksum(interface)}; "
        f"style-src {checksum(style)}; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return render(
        "pages/draw.html",
        policy=policy,
        style=style,
        engine=engine,
        interface=interface,
        names=[each["name"] for each in described],
        classes=described[0]["classes"],
        networks=json.dumps(described, allow_nan=False).replace("<", "\\u003c"),
    )


def _check(page: Path, models: Mapping[str, TrainedClassifier]) -> tuple[int, float]:
    images = load_sample("test").images[:NUM_CHECKED]
    largest = 0.0
    for (name, model), answers in zip(models.items(), answers_of(page, images), strict=True):
        with torch.inference_mode():
            expected = model.float()(images).double()
        found = torch.from_numpy(answers)
        difference = float((found - expected).abs().max() / expected.abs().max())
        others = int((found.argmax(1) != expected.argmax(1)).sum())
        if others or not difference < TOLERANCE:
            raise DigitsError(
                f"the page's {name} gives {plural(others, 'image')} of {len(images)} another class "
                f"than torch, and logits that differ by {difference:.2g} of the largest; nothing "
                "is written"
            )
        largest = max(largest, difference)
    return len(images), largest


def answers_of(page: Path, images: Tensor) -> NDArray[np.float64]:
    """Return the logits, (networks, n, 10), that Node computes with a page's own scripts.

    Args:
        page: what `write_draw_page` wrote.
        images: bytes, (n, 1, 28, 28).
    """
    ended = subprocess.run(
        ["node", "-e", CHECK, "--", str(page)], input=images.numpy().tobytes(), capture_output=True
    )
    if ended.returncode:
        lines = ended.stderr.decode(errors="replace").splitlines()
        reason = next((each for each in lines if "Error: " in each), "it failed")
        raise DigitsError(f"Node cannot run the page's networks: {reason}")
    return np.array(json.loads(ended.stdout), np.float64)


def temperature(model: TrainedClassifier, data_dir: Path) -> float | None:
    """Return the temperature that calibrates a network's probabilities on its validation images.

    Guo et al., "On calibration of modern neural networks", ICML 2017: the one divisor of the logits
    with which their cross-entropy is least. `None` if those images cannot be had.
    """
    record = model.record
    try:
        data = read_validation(data_dir, record["dataset"], record["split"], "local")
    except DigitsError:
        return None
    if not len(data.labels):
        return None
    with torch.inference_mode():
        logits = model.float()(data.images).double()
        tried = torch.logspace(-1, 1, 201, dtype=torch.float64).tolist()
        losses = [float(F.cross_entropy(logits / each, data.labels)) for each in tried]
    return float(tried[int(np.argmin(losses))])


# A network as the page's scripts take it: layers as plain values, their weights in one array.

Layer = dict[str, Any]


def describe(name: str, model: TrainedClassifier) -> dict[str, Any]:
    """Return a network's members (one, or an ensemble's), their layers, and all weights in base64.

    Raises:
        DigitsError: the page cannot compute a layer.
    """
    members: list[tuple[nn.Module, float, float]] = [(model.network, model.mean, model.std)]
    if isinstance(model.network, networks.Ensemble):
        members = [(each.network, each.mean, each.std) for each in model.network.members]  # type: ignore[misc]
    described, arrays, num_weights = [], [], 0
    for network, mean, std in members:
        layers = _layers(name, network.float().eval(), len(model.classes))
        for layer in layers:
            for part in sorted({"weight", "bias"} & layer.keys()):
                arrays.append(layer[part].detach().numpy().astype("<f4").ravel())
                layer[part] = num_weights
                num_weights += len(arrays[-1])
        described.append({"mean": mean, "std": std, "layers": layers})
    weights = base64.b64encode(np.concatenate(arrays or [np.zeros(0)]).tobytes()).decode()
    return {"classes": list(model.classes), "members": described, "weights": weights}


@torch.inference_mode()
def _layers(name: str, network: nn.Module, num_classes: int) -> list[Layer]:
    """Return a network's layers in their order, weights as tensors."""
    layers: list[Layer] = []
    values = torch.zeros(1, 1, SIDE, SIDE)
    for path, module in _steps(network):
        before = values.shape[1:]
        try:
            values = module(values)
            layer = LAYERS[type(module)](module, before, values.shape[1:])
        except Exception as error:  # modules refuse an image of this shape in any way they like
            what, shown = path and f"layer {path}", str(module).partition("\n")[0].rstrip("(")
            raise DigitsError(
                f"{name}: its {what or 'network'} is {shown}; a page computes Linear, Conv2d, "
                "BatchNorm, ReLU, pooling, Flatten and Dropout in a Sequential only"
            ) from error
        layers += [layer] if layer else []
    if values.shape != (1, num_classes):
        raise DigitsError(f"{name}: its output for an image has the shape {(*values.shape,)}")
    return layers


def _steps(module: nn.Module, path: str = "") -> list[tuple[str, nn.Module]]:
    """Return what a network computes one after the other, with the names of the modules."""
    if type(module).forward is not nn.Sequential.forward:
        return [(path, module)]
    return [
        step
        for name, child in module.named_children()
        for step in _steps(child, f"{path}.{name}".lstrip("."))
    ]


# Each kind of module as a layer of the page (`LAYERS` in network.js), from the shapes of an image's
# values before and after it.


def _supported(is_supported: bool) -> None:
    """Refuse a module with options by which the page would compute something else."""
    if not is_supported:
        raise ValueError


def _nothing(_: nn.Module, before: torch.Size, after: torch.Size) -> None:
    """Describe what changes no value at inference, or only where it stands in memory."""
    _supported(math.prod(before) == math.prod(after))


def _relu(*_: Any) -> Layer:
    return {"op": "relu"}


def _linear(module: nn.Linear, before: torch.Size, after: torch.Size) -> Layer:
    _supported(len(before) == 1)
    return {"op": "linear", "out": module.out_features} | _weights(module)


def _conv(module: nn.Conv2d, before: torch.Size, after: torch.Size) -> Layer:
    _supported(
        module.groups == 1 and set(module.dilation) == {1} and module.padding_mode == "zeros"
    )
    left, _, top, _ = module._reversed_padding_repeated_twice  # also of padding="same"
    places = {"kernel": module.kernel_size, "stride": module.stride, "padding": (top, left)}
    return {"op": "conv", "in": before, "out": after} | places | _weights(module)


def _weights(module: nn.Linear | nn.Conv2d) -> dict[str, Tensor]:
    bias = module.weight.new_zeros(len(module.weight)) if module.bias is None else module.bias
    return {"weight": module.weight, "bias": bias}


def _scale(module: Any, before: torch.Size, after: torch.Size) -> Layer:
    _supported(module.running_mean is not None and module.running_var is not None)
    scale = (module.running_var.double() + module.eps).rsqrt()
    scale = scale if module.weight is None else scale * module.weight
    shift = -module.running_mean * scale
    shift = shift if module.bias is None else shift + module.bias
    return {"op": "scale", "channels": len(scale), "weight": scale, "bias": shift}


def _pool(module: Any, before: torch.Size, after: torch.Size) -> Layer:
    """Describe pooling by the rows, and the columns, from which it takes each of its values."""
    windows = []
    for axis, (size, number) in enumerate(zip(before[1:], after[1:], strict=True)):
        if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            window = [(i * size // number, -(-(i + 1) * size // number)) for i in range(number)]
        else:
            kernel, stride, padding = (
                _pair(each)[axis] for each in (module.kernel_size, module.stride, module.padding)
            )
            firsts = [i * stride - padding for i in range(number)]
            window = [(max(first, 0), min(first + kernel, size)) for first in firsts]
        windows.append(window)
    if isinstance(module, nn.AvgPool2d):
        counts_zeros = module.count_include_pad and any(_pair(module.padding))
        _supported(not counts_zeros and module.divisor_override is None)
    if isinstance(module, nn.MaxPool2d):
        _supported(_pair(module.dilation) == (1, 1))
    is_mean = isinstance(module, nn.AvgPool2d | nn.AdaptiveAvgPool2d)
    sizes = {"channels": before[0], "width": before[2], "mean": is_mean}
    return {"op": "pool", **sizes, "rows": windows[0], "columns": windows[1]}


LAYERS: Mapping[type[nn.Module], Callable[[Any, torch.Size, torch.Size], Layer | None]] = {
    kind: describe
    for describe, kinds in (
        (_nothing, (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity, nn.Flatten)),
        (_nothing, (networks.GaussianNoise, networks.ChannelsLast)),
        (_relu, (nn.ReLU,)),
        (_linear, (nn.Linear,)),
        (_conv, (nn.Conv2d,)),
        (_scale, (nn.BatchNorm1d, nn.BatchNorm2d, networks.NoisyBatchNorm)),
        (_pool, (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)),
    )
    for kind in kinds
}
"""By exact types: a class of somebody's own may compute something else."""
