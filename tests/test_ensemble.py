"""Several models made one: what the file holds and does, and what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import digits
from digits.data.datamodule import MNISTDataModule
from digits.data.datasets import load_sample
from digits.ensemble import check_folder, combine, ensemble_folder, member_name
from digits.errors import DigitsError
from digits.export import FORMATS, export
from digits.model_file import read_model, save_model, write_model
from digits.models import BaselineClassifier, Classifier, CnnClassifier, DropoutClassifier
from digits.models.networks import Ensemble

IMAGES = load_sample("test").images


def made(folder: Path, classifier: Classifier | None = None, std: float = 0.5) -> Path:
    """Make a run directory with a model.pt, without training."""
    folder.mkdir(parents=True)
    data = MNISTDataModule(source="sample", std=std)
    data.prepare_data()
    data.setup("fit")
    save_model(folder / "model.pt", classifier or BaselineClassifier([4]), data)
    return folder


def saved(folder: Path, *members: Path) -> Path:
    """The ensemble's model.pt."""
    folder.mkdir(exist_ok=True)
    write_model(folder / "model.pt", combine(members))
    return folder / "model.pt"


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Models that differ in network and normalization."""
    folder = tmp_path_factory.mktemp("runs")
    return [
        made(folder / "first", BaselineClassifier([16])),
        made(folder / "second", DropoutClassifier([12, 8], 0.5), std=0.2),
        made(folder / "third", CnnClassifier([2, 4]), std=1.0),
    ]


def mean_probabilities(*members: Path) -> Tensor:
    with torch.no_grad():
        return torch.stack(
            [digits.load(each)(IMAGES).double().softmax(1) for each in members]
        ).mean(0)


class Constant(nn.Module):
    """Gives every image the same logits."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), -1)


def test_probabilities_too_small_for_a_float_have_a_finite_logarithm() -> None:
    found = Ensemble([Constant(0.0, 500.0), Constant(0.0, 300.0)])(IMAGES[:1] / 255)
    # log((e^-500 + e^-300) / 2), of which e^-500 is nothing.
    assert found[0, 0].item() == pytest.approx(-300 - np.log(2))
    assert found[0, 1].item() == pytest.approx(0)


def test_the_loaded_ensemble_gives_the_logarithm_of_the_members_mean_probability(
    members: list[Path], tmp_path: Path
) -> None:
    loaded = digits.load(saved(tmp_path, *members))
    expected = mean_probabilities(*members)
    for images in (IMAGES, IMAGES / 255):
        found = loaded(images).detach().double()
        torch.testing.assert_close(found.softmax(1), expected, atol=1e-6, rtol=0)
        torch.testing.assert_close(found, expected.log(), atol=1e-5, rtol=0)
    assert not any(module.training for module in loaded.modules())
    assert loaded.classes == digits.load(members[0]).classes


@pytest.mark.parametrize("name", ["onnx", "safetensors"])
def test_an_exported_ensemble_averages_the_members_probabilities(
    name: str, members: list[Path], tmp_path: Path
) -> None:
    form, model = FORMATS[name], digits.load(saved(tmp_path, *members))
    path, _ = export(model, form, tmp_path, "floats", IMAGES)
    found = form.open(path)(IMAGES / 255).detach().double()
    expected = mean_probabilities(*members)
    torch.testing.assert_close(found.softmax(1), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(found, expected.log(), atol=1e-5, rtol=0)


def test_the_members_records_are_in_the_file(members: list[Path], tmp_path: Path) -> None:
    content = read_model(saved(tmp_path, *members))
    records = content["arguments"]["members"]
    assert [each["name"] for each in records] == ["first", "second", "third"]
    for number, (found, member) in enumerate(zip(records, members, strict=True)):
        expected = read_model(member)
        for name, weight in expected.pop("weights").items():
            assert content["weights"].pop(f"members.{number}.network.{name}").equal(weight)
        assert found == expected | {"name": member.name}
    assert not content["weights"]


def test_validation_images_are_the_members_only_if_they_had_the_same(
    members: list[Path], tmp_path: Path
) -> None:
    content = read_model(members[1])
    split = content["split"]
    assert combine(members)["split"] == split
    content["split"] = split | {"val_sha256": "of others"}
    torch.save(content, tmp_path / "model.pt")
    assert combine([members[0], tmp_path])["split"] == split | {"val_sha256": None}


def test_members_of_two_datasets_and_a_network_twice_are_refused(
    members: list[Path], tmp_path: Path
) -> None:
    torch.save(read_model(members[1]) | {"dataset": "mnist"}, tmp_path / "model.pt")
    with pytest.raises(DigitsError, match=r"on dataset mnist, .* on mnist-sample-5k; try"):
        combine([members[0], tmp_path])
    pair, nested = saved(tmp_path / "pair", *members[:2]), tmp_path / "nested"
    shutil.copytree(members[0], tmp_path / "copy")
    for again in (
        members[0] / "model.pt",
        tmp_path / "copy",
        pair,
        saved(nested, pair, members[2]),
    ):
        with pytest.raises(DigitsError, match=r" hold the same network; name each member once"):
            combine([members[0], again])


def test_a_member_is_called_by_its_run_or_its_sweep_and_number(tmp_path: Path) -> None:
    job, run = made(tmp_path / "sweep" / "12_cnn_seed-3"), made(tmp_path / "12_my_run")
    (tmp_path / "sweep" / "multirun.yaml").touch()
    assert member_name(job) == member_name(job / "model.pt") == "sweep-12"
    assert member_name(job / "checkpoints" / "last.ckpt") == "sweep-12-last"
    assert member_name(run) == "12_my_run"
    assert ensemble_folder([job, run]) == Path("outputs/ensembles/sweep-12+12_my_run")


def test_only_an_ensemble_is_overwritten(members: list[Path], tmp_path: Path) -> None:
    check_folder(tmp_path / "ensemble", members)
    saved(tmp_path / "ensemble", *members)
    check_folder(tmp_path / "ensemble", members)
    unfinished = tmp_path / "unfinished" / ".hydra"
    unfinished.mkdir(parents=True)
    (unfinished / "config.yaml").touch()
    for folder in (*members, made(tmp_path / "other"), unfinished.parent):
        with pytest.raises(DigitsError, match=f"{folder} holds another model, which is kept"):
            check_folder(folder, members)
    with pytest.raises(DigitsError, match="which is kept"):
        check_folder(tmp_path / "ensemble", [tmp_path / "ensemble", members[0]])
