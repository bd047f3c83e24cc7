import importlib.util
import os
import re
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch

import digits
from digits.__main__ import main
from digits.artifact import save_model
from digits.data.datamodule import MNISTDataModule
from digits.data.sample import load_sample
from digits.models import BaselineClassifier

IMAGES = load_sample("test").images


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "run [1]"  # rich would take this for markup
    folder.mkdir()
    data = MNISTDataModule(source="sample")
    data.prepare_data()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_model(folder / "model.pt", BaselineClassifier([16]), data)
    return folder


def test_without_a_format_it_is_onnx_and_the_largest_difference_is_printed(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(run_dir)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    size = (run_dir / "model.onnx").stat().st_size
    assert first == f"{run_dir}/model.onnx: {size:,} bytes; pixels: float32 in [0, 1]"
    assert "by onnxruntime, the same class for all 1,000 test images of mnist-sample-5k" in second
    found = re.search(r"largest difference of a logit (\S+), of logits up to (\S+)$", second)
    assert found
    session = onnxruntime.InferenceSession(run_dir / "model.onnx")
    (logits,) = session.run(["logits"], {"images": (IMAGES / 255).numpy()})
    expected = digits.load(run_dir)(IMAGES).detach()
    difference = (torch.from_numpy(logits) - expected).abs().max().item()
    assert float(found[1]) == pytest.approx(difference, rel=0.5, abs=1e-6)
    assert float(found[2]) == pytest.approx(expected.abs().max().item(), abs=0.06)


def test_formats_are_given_with_commas_or_one_by_one_and_written_once(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = ["--to", "safetensors,torch-export", "--to", "safetensors"]
    assert main(["export", str(run_dir / "model.pt"), *to, "--input", "bytes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" bytes; ")[2] for line in lines[::2]] == [
        "pixels: float32 in [0, 1] or uint8 from 0 to 255",
        "pixels: uint8 from 0 to 255",
    ]
    names = sorted(path.name for path in run_dir.iterdir())
    assert names == ["model.pt", "model.pt2", "model.safetensors"]


def test_another_folder_can_be_named(run_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "some" / "where"
    assert main(["export", str(run_dir), "--to", "safetensors", "--out", str(out)]) == 0
    assert [path.name for path in out.iterdir()] == ["model.safetensors"]
    assert [path.name for path in run_dir.iterdir()] == ["model.pt"]


def test_random_images_are_announced_loudly(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(run_dir / "model.pt", weights_only=True) | {"dataset": "letters"}
    torch.save(content, run_dir / "model.pt")
    assert main(["export", str(run_dir), "--to", "safetensors"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "compared on random images, since the test images are not here: dataset must be mnist or "
        "mnist-sample-5k, got 'letters'; try --data-dir DIR\n"
    )
    assert "the same class for all 1,002 random images" in out


@pytest.mark.parametrize(
    ("name", "missing", "expected"),
    [
        (
            "onnx",
            ["onnxruntime", "onnxscript"],
            "needs onnx, onnxruntime and onnxscript; not installed: onnxruntime, onnxscript; "
            "try pip install onnxruntime onnxscript",
        ),
        (
            "torch-export,safetensors",
            ["safetensors"],
            "--to safetensors needs safetensors; not installed: safetensors; "
            "try pip install safetensors",
        ),
    ],
)
def test_missing_packages_are_named_before_anything_is_read(
    name: str,
    missing: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    find_spec = importlib.util.find_spec

    def without(package: str) -> ModuleSpec | None:
        return None if package in missing else find_spec(package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    assert main(["export", str(tmp_path / "no such run"), "--to", name]) == 1
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


def test_an_unknown_format_is_answered_with_the_known_ones(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["export", str(run_dir), "--to", "onnx,torchscript"])
    assert caught.value.code == 2
    expected = "there is no format 'torchscript'; try onnx, torch-export, safetensors"
    assert expected in capsys.readouterr().err


def test_an_error_is_one_line_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == f"error: there is no file {tmp_path / 'none'}\n"


def test_the_help_tells_names_inputs_and_how_to_load_each_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    text = capsys.readouterr().out
    for word in (
        *("model.onnx", "model.pt2", "model.safetensors", "`images`", "`logits`"),
        *("onnxruntime.InferenceSession", "torch.export.load", "safetensors.torch.load_file"),
        *("float32 in [0, 1]", "uint8 from 0", "--data-dir", "--out", "--input"),
    ):
        assert word in text


def test_the_help_does_not_wait_for_torch() -> None:
    code = "import sys, digits.commands.export; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(Path(digits.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
