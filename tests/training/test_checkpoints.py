import errno
import os
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from digits.errors import DigitsError
from digits.training.checkpoints import AtomicCheckpointIO, read_checkpoint
from digits.training.resume import resume_point

CONTENT = {"step": 3, "weights": {"a": torch.arange(4.0)}, "names": ["x", None, True, 0.5]}


class Bomb:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(CONTENT, path)
    found = AtomicCheckpointIO().load_checkpoint(path)
    assert found["weights"]["a"].equal(torch.arange(4.0))
    assert (found["step"], found["names"]) == (CONTENT["step"], CONTENT["names"])
    assert [each.name for each in path.parent.iterdir()] == ["last.ckpt"]


def test_a_full_disk_leaves_the_old_checkpoint_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(CONTENT, path)
    before = path.read_bytes()

    def writes_half(content: Any, file: BinaryIO) -> None:
        file.write(before[: len(before) // 2])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(torch, "save", writes_half)
    with pytest.raises(OSError, match="No space left"):
        AtomicCheckpointIO().save_checkpoint({"step": 4}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("asked_for", [None, False, True])
def test_no_code_in_a_checkpoint_is_run_whatever_is_asked_for(
    asked_for: bool | None, tmp_path: Path
) -> None:
    torch.save({"bomb": Bomb(tmp_path / "exploded")}, tmp_path / "a.ckpt")
    (tmp_path / "b.ckpt").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    for name in ("a.ckpt", "b.ckpt"):
        with pytest.raises(
            DigitsError, match=f"{name} is no model.pt or checkpoint, is damaged, or holds more"
        ):
            AtomicCheckpointIO().load_checkpoint(tmp_path / name, weights_only=asked_for)
    assert not (tmp_path / "exploded").exists()
    # The bomb is one: torch's other way of loading sets it off.
    torch.load(tmp_path / "a.ckpt", weights_only=False)
    assert (tmp_path / "exploded").exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04" + bytes(100)])
def test_a_damaged_checkpoint_is_told_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(DigitsError, match="damaged") as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_was_cut_is_told(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save(CONTENT, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DigitsError, match="damaged"):
        read_checkpoint(path)


def test_a_missing_checkpoint_and_one_of_another_kind_are_told(tmp_path: Path) -> None:
    with pytest.raises(DigitsError, match="there is no file"):
        read_checkpoint(tmp_path / "none.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(DigitsError, match="holds a list"):
        read_checkpoint(tmp_path / "list.ckpt")


@pytest.mark.parametrize(
    ("resume", "exists", "expected"),
    [
        ("auto", False, None),
        ("auto", True, "last.ckpt"),
        ("must", False, DigitsError),
        ("must", True, "last.ckpt"),
        ("never", False, None),
        ("never", True, DigitsError),
    ],
)
def test_where_a_run_goes_on_from(resume: str, exists: bool, expected: Any, tmp_path: Path) -> None:
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.parent.mkdir()
    if exists:
        last.touch()
    if expected is DigitsError:
        with pytest.raises(DigitsError, match=f"resume={resume}, but .* try .*resume=auto"):
            resume_point(tmp_path, resume)
    else:
        assert resume_point(tmp_path, resume) == (last if expected else None)
