import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import nn

from digits.__main__ import main
from digits.data.datasets import CLASSES, SAMPLE, load_sample
from digits.draw import PARTS, answers_of, temperature, write_draw_page
from digits.errors import DigitsError
from digits.model_file import FORMAT, TrainedClassifier, write_model
from digits.models.networks import MLP, ConvNet, Ensemble, NoisyMLP, Normalized
from digits.predict.mnist_form import mnist_form

needs_node = pytest.mark.skipif(not shutil.which("node"), reason="there is no Node")
SPLIT = {"val_size": 5000, "split": "random", "split_seed": 0, "folds": None, "fold": None}
RECORD: dict[str, Any] = {
    "classes": list(CLASSES),
    "dataset": SAMPLE,
    "split": SPLIT | {"val_sha256": "unknown"},
}
IMAGES = load_sample("test").images


def made(network: nn.Module, mean: float = 0.13, std: float = 0.31) -> TrainedClassifier:
    """A network whose batch normalizations have seen images, as after training."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for parameter in module.parameters():
                nn.init.normal_(parameter)
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.rand(50, 1, 28, 28))
    return TrainedClassifier(network, mean, std, RECORD).eval()


def own() -> TrainedClassifier:
    network = nn.Sequential(
        nn.BatchNorm2d(1),
        nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)),
        nn.Conv2d(6, 5, (3, 2), stride=(1, 2), padding=(0, 1)),
        nn.ReLU(),
        nn.BatchNorm2d(5),
        nn.Conv2d(5, 7, 3, padding="same"),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.Dropout2d(),
        nn.AdaptiveAvgPool2d((3, 2)),
        nn.Flatten(),
        nn.Linear(42, 9, bias=False),
        nn.BatchNorm1d(9, affine=False),
        nn.Identity(),
        nn.Linear(9, 10),
    )
    return made(network)


def ensemble() -> TrainedClassifier:
    members = [Normalized(made(MLP([30])).network, 0.5, 0.5),
               Normalized(made(ConvNet([4, 6])).network, 0.0, 1.0)]  # fmt: skip
    return TrainedClassifier(Ensemble(members), 0.0, 1.0, RECORD).eval()


NETWORKS = {
    "mlp": lambda: made(MLP()),
    "dropout": lambda: made(MLP([32], dropout_rate=0.5, input_dropout_rate=0.2)),
    "noise": lambda: made(NoisyMLP([40, 30])),
    "cnn": lambda: made(ConvNet([5, 6, 7], dropout_rate=0.2)),
    "layers of one's own": own,
    "each pixel of a convolution normalized": lambda: made(
        nn.Sequential(
            *(nn.Conv2d(1, 1, 5, stride=2), nn.Flatten(), nn.BatchNorm1d(144), nn.ReLU()),
            nn.Linear(144, 10),
        )
    ),
    "ensemble": ensemble,
}


@needs_node
def test_the_page_computes_what_torch_does(tmp_path: Path) -> None:
    models = {name: make() for name, make in NETWORKS.items()}
    checked = write_draw_page(tmp_path, models, tmp_path)
    assert checked and checked[0] == 100
    assert checked[1] < 1e-5
    answers = answers_of(tmp_path / "draw.html", IMAGES[100:200])
    for found, model in zip(answers, models.values(), strict=True):
        with torch.inference_mode():
            expected = model(IMAGES[100:200]).numpy()
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_networks_with_other_classes_have_no_page_together(tmp_path: Path) -> None:
    record = RECORD | {"classes": [f"class {number}" for number in range(10)]}
    other = TrainedClassifier(made(MLP([8])).network, 0.0, 1.0, record)
    with pytest.raises(DigitsError, match="b has other classes than a; try"):
        write_draw_page(tmp_path, {"a": made(MLP([8])), "b": other}, tmp_path)


def test_the_page_of_the_baseline_is_small_and_lets_nothing_out(tmp_path: Path) -> None:
    write_draw_page(tmp_path, {"</script><b>": made(MLP())}, tmp_path)
    page = (tmp_path / "draw.html").read_text()
    assert len(page.encode()) < 700_000
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy and "http" not in policy
    assert not re.findall(r"https?://|url\(", page)
    assert page.count("</script>") == 3  # a name ends none of them


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (nn.GELU(), "layer 1 is GELU(approximate='none')"),
        (nn.Sequential(nn.ReLU(), nn.Tanh()), "layer 1.1 is Tanh()"),
        (nn.Conv2d(1, 1, 3, padding=1, dilation=1, padding_mode="reflect"), "layer 1 is Conv2d(1"),
        (nn.AvgPool2d(3, 1, padding=1), "layer 1 is AvgPool2d(kernel_size=3"),
        (nn.TransformerEncoderLayer(28, 2), "layer 1 is TransformerEncoderLayer;"),
        (nn.Unflatten(3, (4, 7)), "layer 1 is Unflatten"),
    ],
)
def test_a_layer_that_the_page_cannot_compute_is_named(
    layer: nn.Module, named: str, tmp_path: Path
) -> None:
    network = nn.Sequential(nn.Identity(), layer, nn.Flatten(), nn.Linear(784, 10)).eval()
    model = TrainedClassifier(network, 0.0, 1.0, RECORD)
    with pytest.raises(DigitsError) as refused:
        write_draw_page(tmp_path, {"mine": model}, tmp_path)
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


@needs_node
def test_a_page_that_computes_something_else_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made(MLP([8]))
    monkeypatch.setattr("digits.draw.CHECK", "process.stdout.write('[' + JSON.stringify("
                        "Array(100).fill(Array(10).fill(0))) + ']')")  # fmt: skip
    with pytest.raises(DigitsError, match="of 100 another class"):
        write_draw_page(tmp_path, {"mine": model}, tmp_path)
    monkeypatch.setattr("digits.draw.CHECK", "throw new TypeError('no such thing')")
    with pytest.raises(DigitsError, match="TypeError: no such thing"):
        write_draw_page(tmp_path, {"mine": model}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_temperature_is_that_of_the_least_loss_on_the_validation_images(tmp_path: Path) -> None:
    from digits.data.split import split_hash, stratified_split

    data = load_sample("train")
    _, chosen = stratified_split(data.labels, 500, 0)
    split = SPLIT | {"val_sha256": split_hash(chosen)}

    class Overconfident(nn.Module):
        """Right for four images in five, by 5 nats, where log(36) would be honest."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            right = data.labels[chosen].clone()
            right[::5] = (right[::5] + 1) % 10
            return 5 * torch.nn.functional.one_hot(right, 10).float()

    model = TrainedClassifier(Overconfident(), 0.0, 1.0, RECORD | {"split": split})
    assert temperature(model, tmp_path) == pytest.approx(5 / np.log(36), rel=0.02)
    model.record["split"]["val_sha256"] = "of other images"
    assert temperature(model, tmp_path) is None


# The verb.


def run_dir(path: Path, **others: Any) -> Path:
    path.mkdir(parents=True)
    network = MLP([16])
    content = RECORD | {"format": FORMAT, "model": "digits.models.networks.MLP"}
    content |= {"arguments": {"hidden": [16]}, "weights": network.state_dict()}
    content |= {"normalization": {"mean": 0.5, "std": 0.5}, "precision": "32-true"}
    write_model(path / "model.pt", content | others)
    return path


def test_the_verb_writes_into_the_run_or_into_outputs_draw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = run_dir(tmp_path / "runs" / "first"), run_dir(tmp_path / "runs" / "second")
    assert main(["draw", str(first)]) == 0
    assert capsys.readouterr().out.startswith("runs/first/draw.html: ")
    assert main(["draw", str(first)]) == 0  # replaces its own
    assert main(["draw", str(first), str(second)]) == 0
    page = (tmp_path / "outputs" / "draw" / "draw.html").read_text()
    (networks,) = re.findall(r'"application/json">(.*?)</script>', page)
    assert [each["name"] for each in json.loads(networks)] == ["first", "second"]
    monkeypatch.setattr("digits.draw.shutil.which", lambda _: None)
    capsys.readouterr()
    assert main(["draw", str(first), "--out", "elsewhere"]) == 0
    assert "no Node" in capsys.readouterr().out
    assert (tmp_path / "elsewhere" / "draw.html").exists()


def test_wrong_input_gets_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, own_page = run_dir(tmp_path / "good"), tmp_path / "mine" / "draw.html"
    (tmp_path / "damaged.pt").write_bytes((good / "model.pt").read_bytes()[:5000])
    own_page.parent.mkdir()
    own_page.write_text("my own drawings")
    for arguments, said in (
        (["nowhere"], "does not exist"),
        ([tmp_path / "damaged.pt"], "is damaged"),
        ([good, good], "same name, got good, good"),
        ([good, "--out", own_page.parent], "is kept; try --out"),
        ([good, "--out", good / "model.pt"], "takes a folder"),
    ):
        assert main(["draw", *map(str, arguments)]) == 1
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert own_page.read_text() == "my own drawings"
    names = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert names == ["damaged.pt", "draw.html", "model.pt"]


# The preparation.


def drawing(draw: np.random.Generator, side: int = 280) -> np.ndarray:
    """Random strokes, anti-aliased: thin or thick, small or large, anywhere, also in a corner."""
    factor, size = 4, int(draw.integers(20, side))
    image = Image.new("L", (side * factor, side * factor))
    corner = draw.integers(0, side - size + 1, 2)
    width = int(draw.integers(2, max(3, size // 4)))
    for _ in range(draw.integers(1, 4)):
        points = (corner + draw.random((draw.integers(2, 6), 2)) * size) * factor
        flat = [tuple(point) for point in points]
        ImageDraw.Draw(image).line(flat, 255, width * factor, joint="curve")
    image = image.resize((side, side), Image.Resampling.BOX)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.5)))


def forms_by_node(drawings: np.ndarray) -> list[list[int] | None]:
    """What the page makes of bytes (n, height, width)."""
    _, height, width = drawings.shape
    script = (
        (PARTS / "network.js").read_text()
        + f"""
    const bytes = require("fs").readFileSync(0), forms = [], size = {height * width};
    for (let i = 0; i < bytes.length; i += size) {{
      const values = Float32Array.from(bytes.subarray(i, i + size), (byte) => byte / 255);
      const form = mnistForm({{ height: {height}, width: {width}, values }});
      forms.push(form && Array.from(form));
    }}
    process.stdout.write(JSON.stringify(forms));"""
    )
    ended = subprocess.run(["node", "-e", script], input=drawings.tobytes(), capture_output=True)
    assert ended.returncode == 0, ended.stderr
    forms: list[list[int] | None] = json.loads(ended.stdout)
    return forms


@needs_node
def test_drawings_are_prepared_as_python_does() -> None:
    draw = np.random.default_rng(0)
    drawings = np.stack([*(drawing(draw) for _ in range(200)), np.zeros((280, 280), np.uint8)])
    *forms, blank = forms_by_node(drawings)
    assert blank is None
    for each, form in zip(drawings, forms, strict=False):
        expected = mnist_form((each / 255).astype(np.float32))
        assert expected is not None
        assert np.abs(np.array(form) - expected.astype(int).ravel()).max() <= 1
