"""A folder of one's own pictures: to train on, and to evaluate with."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import digits
from digits.__main__ import main
from digits.data import pictures
from digits.data.datasets import load_sample, prepare, read
from digits.data.pictures import class_folders, read_pictures
from digits.errors import DigitsError
from digits.predict import predict

NAMES = ("one", "seven", "zero")
SAMPLE = load_sample("test")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten pictures of each of three classes, with names that are not digits."""
    for name, digit in (("zero", 0), ("one", 1), ("seven", 7)):
        write(tmp_path / "hand" / name, SAMPLE.images[SAMPLE.labels == digit][:10])
    return tmp_path / "hand"


def write(folder: Path, images: torch.Tensor) -> None:
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(255 - image[0].numpy()).save(folder / f"{number}.png")


def test_pictures_are_prepared_as_predict_does_it_and_labelled_by_their_folder(
    folder: Path,
) -> None:
    found = read_pictures(folder)
    assert found.classes == NAMES and not found.left_out
    for image, label, file in zip(found.images, found.labels, found.files, strict=True):
        np.testing.assert_array_equal(image, predict.prepare(file)[0].image)
        assert NAMES[label] == file.parent.name


def test_classes_that_are_numbers_are_in_their_order(tmp_path: Path) -> None:
    for name in ("10", "b", "9", "a", ".thumbnails"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").touch()
    (tmp_path / "empty").mkdir()
    assert list(class_folders(tmp_path)) == ["9", "10", "a", "b"]


def test_what_cannot_be_used_is_named_and_left_out(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "one" / "damaged.jpg").write_bytes(b"\xff\xd8\xff")
    (folder / "one" / "copy.png").write_bytes((folder / "zero" / "0.png").read_bytes())
    (folder / "loose.png").write_bytes((folder / "zero" / "1.png").read_bytes())
    both = np.hstack([255 - SAMPLE.images[place, 0].numpy() for place in (0, 1)])
    Image.fromarray(both).resize((224, 112)).save(folder / "zero" / "two.png")
    before = prepare(folder, name="pictures")
    assert before.startswith("pictures-")
    for words in (
        "damaged.jpg: is not a picture",
        "zero/0.png: is the same picture as",
        "2 digits",
        "loose.png: is not in the folder of a class",
    ):
        assert words in caplog.text
    for name in ("one/damaged.jpg", "one/copy.png", "zero/two.png", "loose.png"):
        (folder / name).unlink()
    (folder / "zero" / "0.png").unlink()
    (folder / "one" / "10.png").write_bytes((folder / "one" / "0.png").read_bytes())
    assert len(read_pictures(folder).images) == 29


def test_they_are_prepared_once_whatever_their_names_and_again_if_one_changes(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read_pictures(folder)
    (kept,) = (cache / "pictures").iterdir()
    pictures._prepared.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(predict, "prepare", None)
        again = read_pictures(folder)
        moved = folder.rename(folder.with_name("moved"))
        elsewhere = read_pictures(moved)
    assert again.name == first.name and again.images.tobytes() == first.images.tobytes()
    assert elsewhere.name.rpartition("-")[2] == first.name.rpartition("-")[2]

    pictures._prepared.cache_clear()
    kept.unlink()
    assert read_pictures(moved).images.tobytes() == first.images.tobytes()
    (moved / "one" / "0.png").unlink()
    assert read_pictures(moved).name != elsewhere.name


def test_the_test_has_the_same_share_of_each_class_and_no_training_picture(folder: Path) -> None:
    name = prepare(folder, name="pictures")
    parts = [read(folder, part, name) for part in ("train", "test")]
    assert [np.bincount(part.labels).tolist() for part in parts] == [[8] * 3, [2] * 3]
    train, test = ({image.numpy().tobytes() for image in part.images} for part in parts)
    assert len(train) == 24 and len(test) == 6 and not train & test
    (folder / "one" / "0.png").unlink()
    with pytest.raises(DigitsError, match="has changed"):
        read(folder, "test", name)


def test_a_folder_without_classes_is_refused_in_one_line(tmp_path: Path) -> None:
    what = {tmp_path: "does not hold a folder .*photo.jpg", tmp_path / "missing": "does not exist"}
    for missing, told in what.items():
        with pytest.raises(DigitsError, match=rf"{told}; try data\.dir=FOLDER$"):
            prepare(missing, name="pictures")
    write(tmp_path / "a", SAMPLE.images[:9])
    with pytest.raises(DigitsError, match=r"has 9 pictures that can be used; a training needs"):
        read(tmp_path, "train", prepare(tmp_path, name="pictures"))


def test_a_run_on_ones_own_pictures(
    folder: Path,
    tmp_path: Path,
    command_line: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ("model.hidden=[64]", "optim.lr=0.01", "data.batch_size=4", "logger=none")
    command = ("data=pictures", f"data.dir={folder}", *options)
    ended = command_line(*command, "trainer.max_epochs=10", "name=mine")
    assert ended.code == 0, ended.stderr
    run = tmp_path / "outputs/runs/mine"
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["dataset"] == prepare(folder, name="pictures")
    assert (metrics["num_train"], metrics["num_val"], metrics["num_test"]) == (22, 2, 6)

    model = digits.load(run)
    assert model.classes == NAMES
    assert model(SAMPLE.images[:5]).shape == (5, 3)
    assert digits.load(run / "checkpoints" / "best.ckpt").classes == NAMES
    for part in ("test", "val"):
        assert main(["evaluate", str(run), "--part", part]) == 0
        assert "to the last digit" in capsys.readouterr().out
    assert main(["export", str(run), "--to", "torch-export"]) == 0
    capsys.readouterr()
    shown = str(folder / "seven" / "3.png")
    assert main(["predict", str(run), shown, "--json"]) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert row["class"] == NAMES[row["digit"]] and len(row["probabilities"]) == 3
    assert main(["predict", str(run), shown]) == 0
    first, *bars = capsys.readouterr().out.splitlines()
    assert first == f"{shown}: {row['class']}"
    assert [bar.split()[0] for bar in bars] == list(NAMES)

    (folder / "one" / "0.png").unlink()
    assert main(["evaluate", str(run)]) == 1
    assert "try --data-dir=FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("data.split=writers", "try data.split=random"),
        ("data.folds=30 data.fold=25", "try -m data.folds=5 data.fold=0,1,2,3,4"),
        ("data.val_size=24", "in [0, 23], because there are 24 .*; try data.val_size=23"),
        ("-m data.train_size=9,23", "at most 22, the images .*; try data.train_size=null"),
    ],
)
def test_what_the_pictures_do_not_allow_is_said_before_a_run_is_made(
    folder: Path, tmp_path: Path, command_line: Callable[..., Any], options: str, expected: str
) -> None:
    code, _, stderr = command_line(*options.split(), "data=pictures", f"data.dir={folder}")
    assert (code, stderr.count("\n")) == (1, 1)
    assert all(words in stderr for words in expected.split(".*"))
    assert not (tmp_path / "outputs").exists()


def test_evaluate_measures_on_ones_own_handwriting(
    tmp_path: Path, command_line: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    ended = command_line("data=sample", "trainer.max_epochs=2", "logger=none", "name=first")
    assert ended.code == 0, ended.stderr
    run, hand = tmp_path / "outputs/runs/first", tmp_path / "hand"
    for digit in (3, 5):
        write(hand / str(digit), SAMPLE.images[SAMPLE.labels == digit][:12])
    (hand / "3" / "damaged.png").write_bytes(b"")
    capsys.readouterr()
    assert main(["evaluate", str(run), "--pictures", str(hand)]) == 0
    report = run / "evaluation-pictures-hand"
    result = json.loads((report / "evaluation.json").read_text())
    files = [hand / str(digit) / f"{number}.png" for digit in (3, 5) for number in range(12)]
    main(["predict", str(run), *map(str, files), "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line[0] == "{"]
    wrong = {row["file"] for row in rows if str(row["digit"]) != Path(row["file"]).parent.name}
    assert result["num_images"] == 24
    assert result["pictures/accuracy"] == pytest.approx(1 - len(wrong) / 24)
    assert {each["file"] for each in result["mistakes"]} == wrong
    assert result["left_out"] == {str(hand / "3" / "damaged.png"): "is empty"}
    assert "damaged.png" in (report / "report.html").read_text()
    assert sum(result["confusion_matrix"][5]) == 12

    (hand / "3").rename(hand / "three")
    assert main(["evaluate", str(run), "--pictures", str(hand)]) == 1
    assert "three is not a folder of a class of the model; try the names 0, 1," in (
        capsys.readouterr().err
    )
