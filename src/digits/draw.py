"""A page in which one writes a digit: trained networks in plain JavaScript, in one offline file."""

import base64
import hashlib
import json
import math
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray
from torch import Tensor, nn

from digits.data.datasets import SIDE, load_sample
from digits.data.validation import read_validation
from digits.errors import DigitsError
from digits.files import whole_file
from digits.model_file import TrainedClassifier
from digits.models import networks
from digits.text import plural

PAGE = "draw.html"
MARK = '<meta name="generator" content="digits draw">'
"""Says in a page that it is one of ours, and may be replaced."""
PARTS = Path(__file__).with_name("pages")
NUM_CHECKED = 100
TOLERANCE = 1e-3
"""Largest difference of a logit from torch's, as a share of the largest logit."""
NOTHING = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity, nn.Flatten, networks.GaussianNoise,
           networks.ChannelsLast)  # fmt: skip
"""Layers that change no value at inference, or only where it stands in memory."""

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
    path: Path, models: Mapping[str, TrainedClassifier], data_dir: Path
) -> tuple[int, float] | None:
    """Write the page of these networks, whole or not at all, and check it with Node.

    Args:
        path: where; only an older page of ours is replaced.
        models: what `load` returned, by the name that the page shows.
        data_dir: where the validation images are, which calibrate the probabilities.

    Returns:
        The number of images on which the page's logits were compared with torch's, and the largest
        difference, as a share of the largest logit; `None` if there is no Node.

    Raises:
        DigitsError: a network has layers that the page cannot compute, its logits differ, or
            another file is in the way.
    """
    if path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace"):
        raise DigitsError(f"{path} was not written by this verb, and is kept; try --out NEW_FOLDER")
    first, *others = models.items()
    for name, model in others:
        if model.classes != first[1].classes:
            raise DigitsError(f"{name} has other classes than {first[0]}; try a page for each")
    described = [
        {"name": name, "temperature": temperature(model, data_dir)} | describe(name, model)
        for name, model in models.items()
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_text(_page(described), encoding="utf-8", newline="\n")
        return _check(temporary, models) if shutil.which("node") else None


def _page(described: Sequence[Mapping[str, Any]]) -> str:
    def text(*files: Path) -> str:
        return "\n" + "".join(file.read_text(encoding="utf-8") for file in files)

    style = text(PARTS.with_name("page.css"), PARTS / "draw.css")
    engine, interface = text(PARTS / "network.js"), text(PARTS / "draw.js")
    sources = [
        f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'"
        for part in (engine, interface, style)
    ]
    policy = (
        f"default-src 'none'; script-src {sources[0]} {sources[1]}; style-src {sources[2]}; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    environment = Environment(
        loader=FileSystemLoader(PARTS), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("draw.html").render(
        mark=MARK,
        policy=policy,
        style=style,
        engine=engine,
        interface=interface,
        names=[each["name"] for each in described],
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
            for part in {"weight", "bias"} & layer.keys():
                arrays.append(layer[part].detach().numpy().astype("<f4").ravel())
                layer[part] = num_weights
                num_weights += len(arrays[-1])
        described.append({"mean": mean, "std": std, "layers": layers})
    weights = base64.b64encode(np.concatenate(arrays or [np.zeros(0)]).tobytes()).decode()
    return {"classes": list(model.classes), "members": described, "weights": weights}


@torch.inference_mode()
def _layers(name: str, network: nn.Module, num_classes: int) -> list[dict[str, Any]]:
    """Return a network's layers in their order, weights as tensors of double precision."""
    layers: list[dict[str, Any]] = []
    values = torch.zeros(1, 1, SIDE, SIDE)
    for path, module in _steps(network):
        before = values.shape[1:]
        try:
            values = module(values)
            found = _layer(module, before, values.shape[1:], layers)
        except Exception:  # modules refuse an image of this shape in any way they like
            found = None
        if found is None:
            what, shown = path and f"layer {path}", str(module).partition("\n")[0].rstrip("(")
            raise DigitsError(
                f"{name}: its {what or 'network'} is {shown}; a page computes Linear, Conv2d, "
                "BatchNorm, ReLU, pooling, Flatten and Dropout in a Sequential only"
            )
        layers += found
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


def _layer(
    module: nn.Module, before: torch.Size, after: torch.Size, layers: list[dict[str, Any]]
) -> list[dict[str, Any]] | None:
    """Return a module as layers of the page; batch normalization goes into the layer before it.

    Exact types only: a class of somebody's own may compute something else. `None` if the page
    cannot compute it.
    """
    kind = type(module)
    if kind in NOTHING:
        return [] if math.prod(before) == math.prod(after) else None
    if kind is nn.ReLU:
        return [{"op": "relu"}]
    if isinstance(module, nn.Linear) and kind is nn.Linear and len(before) == 1:
        return [{"op": "linear", "out": module.out_features} | _weights(module)]
    if isinstance(module, nn.Conv2d) and kind is nn.Conv2d:
        if module.groups != 1 or set(module.dilation) != {1} or module.padding_mode != "zeros":
            return None
        left, _, top, _ = module._reversed_padding_repeated_twice  # also of padding="same"
        places = {"kernel": module.kernel_size, "stride": module.stride, "padding": (top, left)}
        return [{"op": "conv", "in": before, "out": after} | places | _weights(module)]
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        known = (nn.BatchNorm1d, nn.BatchNorm2d, networks.NoisyBatchNorm)
        if kind not in known or module.running_mean is None or module.running_var is None:
            return None
        scale = (module.running_var.double() + module.eps).rsqrt()
        scale = scale if module.weight is None else scale * module.weight.double()
        shift = -module.running_mean.double() * scale
        shift = shift if module.bias is None else shift + module.bias.double()
        last: dict[str, Any] = layers[-1] if layers else {"op": None}
        # In both, channels come first; a flattened convolution has other channels.
        if (last["op"], len(before)) in {("linear", 1), ("conv", 3)}:
            last["weight"] = (last["weight"].flatten(1).T * scale).T
            last["bias"] = last["bias"] * scale + shift
            return []
        return [{"op": "scale", "channels": len(scale), "weight": scale, "bias": shift}]
    windows = _windows(module, before, after)
    if windows is None:
        return None
    is_mean = isinstance(module, nn.AvgPool2d | nn.AdaptiveAvgPool2d)
    sizes = {"channels": before[0], "width": before[2], "mean": is_mean}
    return [{"op": "pool", **sizes, "rows": windows[0], "columns": windows[1]}]


def _weights(module: nn.Linear | nn.Conv2d) -> dict[str, Tensor]:
    weight = module.weight.double()
    return {"weight": weight, "bias": weight.new_zeros(len(weight)) if module.bias is None else
            module.bias.double()}  # fmt: skip


def _windows(
    module: nn.Module, before: torch.Size, after: torch.Size
) -> list[list[tuple[int, int]]] | None:
    """Return the rows, and the columns, from which a pooling layer takes each of its values."""
    kind, sizes = type(module), list(zip(before[1:], after[1:], strict=True))
    if kind in (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d):
        return [[(i * size // n, -(-(i + 1) * size // n)) for i in range(n)] for size, n in sizes]
    if isinstance(module, nn.AvgPool2d) and kind is nn.AvgPool2d:
        counts_zeros = module.count_include_pad and module.padding not in (0, (0, 0))
        known = not counts_zeros and module.divisor_override is None
    else:
        known = isinstance(module, nn.MaxPool2d) and kind is nn.MaxPool2d
        known = known and module.dilation in (1, (1, 1)) and not module.return_indices
    if not known:
        return None

    def pair(value: Any) -> tuple[int, int]:
        return (value, value) if isinstance(value, int) else tuple(value)

    of_module = (pair(each) for each in (module.kernel_size, module.stride, module.padding))
    return [
        [(max(i * stride - pad, 0), min(i * stride - pad + kernel, size)) for i in range(n)]
        for (size, n), kernel, stride, pad in zip(sizes, *of_module, strict=True)
    ]
