from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digits.errors import DigitsError
from digits.prediction.showing import Shown

IMAGE = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)


def test_what_is_written_is_what_the_network_saw(tmp_path: Path) -> None:
    path = Shown(tmp_path / "new" / "folder", []).write("photos/a.jpg", IMAGE)
    assert path == tmp_path / "new" / "folder" / "a-28x28.png"
    with Image.open(path) as image:
        assert image.size == (28, 28)
        assert (np.asarray(image) == IMAGE).all()


def test_pictures_of_the_same_name_get_files_of_their_own(tmp_path: Path) -> None:
    shown = Shown(tmp_path, [])
    names = [shown.write(each, IMAGE).name for each in ("a/7.png", "b/7.png", "b/7.JPG", "A/7.gif")]
    assert names == ["7-28x28.png", "7-2-28x28.png", "7-3-28x28.png", "7-4-28x28.png"]
    assert shown.count == 4


def test_no_picture_is_overwritten(tmp_path: Path) -> None:
    pictures = [str(tmp_path / "7.png"), str(tmp_path / "7-28x28.png")]
    written = [Shown(tmp_path, pictures).write(each, IMAGE) for each in pictures]
    assert not {str(path) for path in written} & set(pictures)


def test_a_second_call_replaces_the_files_of_the_first(tmp_path: Path) -> None:
    for _ in range(2):
        Shown(tmp_path, []).write("a.png", IMAGE)
    assert [path.name for path in tmp_path.iterdir()] == ["a-28x28.png"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DigitsError, match="try --show=DIR"):
        Shown(tmp_path / "file" / "folder", [])
