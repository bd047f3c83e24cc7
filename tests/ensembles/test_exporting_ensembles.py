"""An ensemble's model.pt in the other verbs: exported, and classifying pictures."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from PIL import Image

import digits
from digits.__main__ import main
from digits.artifact import write_model
from digits.data.sample import load_sample
from digits.ensembles.combine import combine
from digits.exporting import to_safetensors

IMAGES = load_sample("test").images


@pytest.fixture(scope="module")
def ensemble(members: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("ensemble")
    write_model(folder / "model.pt", combine(members))
    assert main(["export", str(folder), "--to", "onnx,torch-export,safetensors"]) == 0
    return folder


def by_onnxruntime(folder: Path) -> torch.Tensor:
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    (logits,) = session.run(["logits"], {"images": (IMAGES / 255).numpy()})
    return torch.from_numpy(logits)


def by_torch_export(folder: Path) -> torch.Tensor:
    logits: torch.Tensor = torch.export.load(folder / "model.pt2").module()(IMAGES / 255)
    return logits


def by_safetensors(folder: Path) -> torch.Tensor:
    return to_safetensors.open_file(folder / "model.safetensors")(IMAGES)


@pytest.mark.parametrize("logits", [by_onnxruntime, by_torch_export, by_safetensors])
def test_an_exported_ensemble_averages_the_members_probabilities(
    logits: Callable[[Path], torch.Tensor], ensemble: Path, members: list[Path]
) -> None:
    found = logits(ensemble).detach().double()
    expected = torch.stack(
        [digits.load(each)(IMAGES).detach().double().softmax(1) for each in members]
    ).mean(0)
    torch.testing.assert_close(found.softmax(1), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(found, expected.log(), atol=1e-5, rtol=0)


def test_an_ensemble_classifies_pictures(
    ensemble: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(255 - IMAGES[3, 0].numpy()).save(tmp_path / "digit.png")
    assert main(["predict", str(ensemble), str(tmp_path / "digit.png"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    np.testing.assert_allclose(np.sum(answer["probabilities"]), 1, atol=1e-5)
    assert answer["digit"] == int(np.argmax(answer["probabilities"]))
