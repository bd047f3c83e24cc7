"""Model files made one: what the file holds and does, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from support import SMALL, train

import digits
from digits.artifact import save_model, write_model
from digits.data.datamodule import MNISTDataModule
from digits.data.sample import load_sample
from digits.ensembles.combine import combine
from digits.ensembles.members import member_contents
from digits.errors import DigitsError
from digits.models import BaselineClassifier
from digits.recorded import read_saved

IMAGES = load_sample("test").images


def saved(folder: Path, *members: Path) -> Path:
    """The ensemble's model.pt."""
    write_model(folder / "model.pt", combine(members))
    return folder / "model.pt"


def untrained(folder: Path, **options: Any) -> Path:
    """A run directory with a model.pt, made without a training."""
    data = MNISTDataModule(**options)
    if options:
        data.prepare_data()
        data.setup("fit")
    folder.mkdir()
    save_model(folder / "model.pt", BaselineClassifier([4]), data)
    return folder


def mean_probabilities(*members: Path) -> torch.Tensor:
    with torch.no_grad():
        return torch.stack(
            [digits.load(each)(IMAGES).double().softmax(1) for each in members]
        ).mean(0)


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


def test_an_ensemble_of_one_run_is_that_run(members: list[Path], tmp_path: Path) -> None:
    for member in members:
        logits = digits.load(member)(IMAGES)
        found = digits.load(saved(tmp_path, member))(IMAGES)
        assert found.argmax(1).equal(logits.argmax(1))
        torch.testing.assert_close(found, logits.log_softmax(1), atol=1e-6, rtol=0)


def test_an_ensemble_may_be_a_member(members: list[Path], tmp_path: Path) -> None:
    inner = saved(tmp_path, *members[:2])
    (tmp_path / "outer").mkdir()
    loaded = digits.load(saved(tmp_path / "outer", inner, members[2]))
    expected = mean_probabilities(inner, members[2])
    torch.testing.assert_close(loaded(IMAGES).detach().double().softmax(1), expected)


def test_the_members_are_in_the_file_as_they_were(members: list[Path], tmp_path: Path) -> None:
    path = saved(tmp_path, *members)
    assert torch.load(path, weights_only=True)["format"] == read_saved(members[0])["format"]
    inside = member_contents(path, read_saved(path))
    assert [each.pop("name") for each in inside] == ["half", "exact", "unit"]
    for found, member in zip(inside, members, strict=True):
        content = read_saved(member)
        weights, expected = found.pop("weights"), content.pop("weights")
        assert found == content
        assert all(weights[name].equal(value) for name, value in expected.items())
        assert len(weights) == len(expected)
    assert member_contents(members[0], read_saved(members[0])) == []


def test_a_checkpoint_is_a_member_of_its_own_name(members: list[Path], tmp_path: Path) -> None:
    last = members[0] / "checkpoints" / "last.ckpt"
    path = saved(tmp_path, members[0], last)
    names = [each["name"] for each in member_contents(path, read_saved(path))]
    assert names == ["half", "half-last"]
    torch.testing.assert_close(
        digits.load(path)(IMAGES).detach().double().softmax(1),
        mean_probabilities(members[0], last),
    )


def test_validation_images_are_the_members_only_if_they_had_the_same(
    members: list[Path], tmp_path: Path
) -> None:
    split = read_saved(members[0])["split"]
    assert combine(members)["split"] == split
    other = train(tmp_path / "other", *SMALL, "trainer.max_epochs=1", "data.split_seed=1")
    assert other["val_split_sha256"] != split["val_sha256"]
    assert combine([members[0], tmp_path / "other"])["split"] == split | {"val_sha256": None}


def test_the_sample_is_not_mixed_with_mnist(members: list[Path], tmp_path: Path) -> None:
    content = read_saved(members[1]) | {"dataset": "mnist"}
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(DigitsError, match=r"is of dataset mnist, .* of mnist-sample-5k, and"):
        combine([members[0], tmp_path])


def test_a_member_is_named_once(members: list[Path]) -> None:
    with pytest.raises(DigitsError, match="is named twice"):
        combine([members[0], members[1], members[0] / "model.pt"])


def test_what_computes_in_different_precisions_is_combined_in_float32(
    members: list[Path], tmp_path: Path
) -> None:
    torch.save(read_saved(members[1]) | {"precision": "bf16-mixed"}, tmp_path / "model.pt")
    assert combine([tmp_path])["precision"] == "bf16-mixed"
    assert combine([members[0], tmp_path])["precision"] == "32-true"


GOOD: dict[str, Any] = {
    "model": "digits.models.baseline.BaselineClassifier",
    "arguments": {"hidden": [4]},
    "normalization": {"mean": 0.5, "std": 0.5},
}


@pytest.mark.parametrize(
    "wrong",
    [
        *(3, "abc", [], [3], {"a": 1}, [{}]),
        *([GOOD | {"model": "os.getcwd"}], [GOOD | {"model": "no.such.Thing"}]),
        *([GOOD | {"model": "digits.__main__.main"}], [GOOD | {"model": 3}]),
        *([GOOD | {"arguments": {"hidden": "a"}}], [GOOD | {"arguments": 3}]),
        *([GOOD | {"normalization": {"mean": "a", "std": 1.0}}], [GOOD | {"normalization": 3}]),
        *([GOOD | {"normalization": {"mean": 0.0, "std": 0.0}}], [GOOD, GOOD]),
    ],
)
def test_members_that_make_no_sense_are_told_in_one_line(wrong: Any, tmp_path: Path) -> None:
    content = combine([untrained(tmp_path / "run")])
    torch.save(content | {"arguments": {"members": wrong}}, tmp_path / "model.pt")
    with pytest.raises(DigitsError) as caught:
        digits.load(tmp_path / "model.pt")
    assert str(caught.value).startswith(str(tmp_path / "model.pt"))
    assert "\n" not in str(caught.value)


def test_a_member_that_lacks_what_only_an_evaluation_needs_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    content = combine([untrained(tmp_path / "run")])
    (record,) = content["arguments"]["members"]
    for wrong in ({"split": 3}, {"precision": "64-false"}, {"format": 99}, {"dataset": 3}):
        content["arguments"]["members"] = [record | wrong]
        with pytest.raises(DigitsError, match="no model"):
            member_contents(path, content)
