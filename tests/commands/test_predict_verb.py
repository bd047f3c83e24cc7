import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

import digits
from digits.__main__ import main
from digits.data.datamodule import MNISTDataModule
from digits.data.datasets import load_sample
from digits.model_file import save_model
from digits.models import BaselineClassifier

IMAGES = load_sample("test").images[:6]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    data = MNISTDataModule(source="sample")
    data.prepare_data()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_model(folder / "model.pt", BaselineClassifier([16]), data)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five pictures of digits, and one that is empty, sorted after the second."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, image in enumerate(IMAGES):
        Image.fromarray(image[0].numpy()).save(folder / f"{number}.png")
    (folder / "2.png").write_bytes(b"")
    return folder


def test_json_is_an_object_a_line_in_order_and_the_exit_code_tells_of_the_failure(
    run_dir: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(run_dir), str(photos), "--json"]) == 1
    captured = capsys.readouterr()
    rows = [json.loads(line) for line in captured.out.splitlines()]
    assert [row["file"] for row in rows] == [str(photos / f"{number}.png") for number in range(6)]
    assert rows[2] == {"file": str(photos / "2.png"), "error": "is empty"}
    for row in rows[:2] + rows[3:]:
        assert set(row) == {"file", "digit", "probability", "probabilities"}
        assert row["probability"] == max(row["probabilities"]) == row["probabilities"][row["digit"]]
        assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert captured.err == ""


def test_the_classes_are_those_of_the_pictures_that_show_writes(
    run_dir: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["predict", str(run_dir), str(photos / "[0134].png"), "--json"]
    assert main([*arguments, "--show", str(tmp_path / "seen")]) == 0
    captured = capsys.readouterr()
    assert captured.err == f"what the network saw: {tmp_path / 'seen'} (4 pictures)\n"
    model = digits.load(run_dir)
    for row in map(json.loads, captured.out.splitlines()):
        name = f"{Path(row['file']).stem}-28x28.png"
        with Image.open(tmp_path / "seen" / name) as image:
            assert (image.size, image.mode) == ((28, 28), "L")
            pixels = torch.tensor(list(image.tobytes()), dtype=torch.uint8).reshape(1, 1, 28, 28)
        expected = torch.softmax(model(pixels), dim=1)[0].tolist()
        assert row["probabilities"] == pytest.approx(expected, abs=1e-5)


def test_many_pictures_are_a_line_each_and_errors_are_on_stderr(
    run_dir: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(run_dir), str(photos)]) == 1
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()] == [
        str(photos / f"{number}.png") for number in (0, 1, 3, 4, 5)
    ]
    assert captured.err == f"error: {photos / '2.png'}: is empty\n"


def test_one_picture_gets_all_ten_probabilities_and_may_be_shown_again(
    run_dir: Path,
    photos: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(photos)
    for _ in range(2):
        capsys.readouterr()
        assert main(["predict", str(run_dir), str(photos / "0.png"), "--show"]) == 0
        assert [path.name for path in Path("outputs/predict").iterdir()] == ["0-28x28.png"]
    first, *bars = capsys.readouterr().out.splitlines()
    assert first.startswith(str(photos / "0.png"))
    assert [bar.split()[0] for bar in bars] == list("0123456789")


@pytest.mark.parametrize("folder", ["outputs/predict", "."])
def test_what_was_shown_is_replaced_and_nothing_else(
    folder: str,
    run_dir: Path,
    photos: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(photos)
    arguments = ["predict", str(run_dir), "0.png", "--show", *([folder] if folder == "." else [])]
    for _ in range(2):
        assert main(arguments) == 0
    mine = Path(folder, "0-28x28.png")
    Image.new("L", (28, 28)).save(mine)
    content = mine.read_bytes()
    assert main(arguments) == 1
    assert f"error: --show would overwrite {mine}" in capsys.readouterr().err
    assert mine.read_bytes() == content


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere", "{photos}"], "nowhere"),
        (["{run}", "{photos}/1.png", "--show", "{photos}/0.png"], "--show takes a folder"),
        (["{run}", "{photos}/1.png", "--show", "{photos}"], "would overwrite"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    arguments: list[str],
    expected: str,
    run_dir: Path,
    photos: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (photos / "1-28x28.png").write_text("mine")
    filled = [each.format(run=run_dir, photos=photos) for each in arguments]
    assert main(["predict", *filled]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert expected in line
    assert (photos / "1-28x28.png").read_text() == "mine"


def test_a_picture_may_come_from_standard_input(
    run_dir: Path,
    photos: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main(["predict", str(run_dir), str(photos / "0.png"), "--json"]) == 0
    by_name = json.loads(capsys.readouterr().out)
    content = (photos / "0.png").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert main(["predict", str(run_dir), "-", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == by_name | {"file": "-"}


def test_pictures_in_subfolders_are_not_left_out_in_silence(
    run_dir: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "more").mkdir()
    (photos / "2.png").rename(photos / "more" / "2.png")
    assert main(["predict", str(run_dir), str(photos)]) == 0
    assert capsys.readouterr().err == (
        f"note: {photos}: 1 subfolder with pictures not read; name {photos / 'more'} as well\n"
    )


def test_help_is_shown_without_importing_torch() -> None:
    code = (
        "import sys; from digits.__main__ import make_parser; make_parser()\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
