import json
from pathlib import Path

import pytest
import torch

import digits
from digits.artifact import TrainedClassifier
from digits.exporting.to_torch_export import encode, open_file
from exporting.exported_models import MEAN, SAMPLE_TEST, STD, without_digits

IMAGES = SAMPLE_TEST.images


@pytest.mark.parametrize("pixels", ["floats", "bytes"])
def test_batches_of_any_size_get_the_logits_of_the_original(
    model: TrainedClassifier, pixels: str, tmp_path: Path
) -> None:
    (tmp_path / "model.pt2").write_bytes(encode(model, pixels))
    exported = open_file(tmp_path / "model.pt2")
    for size in (1, 7, 1000):
        images = IMAGES[-size:]
        found = exported(images if pixels == "bytes" else images / 255)
        torch.testing.assert_close(found, model(images))


def test_pixels_of_the_other_kind_are_refused(baseline: TrainedClassifier, tmp_path: Path) -> None:
    for pixels, images in (("floats", IMAGES[:3]), ("bytes", IMAGES[:3] / 255)):
        (tmp_path / "model.pt2").write_bytes(encode(baseline, pixels))
        with pytest.raises(RuntimeError, match="dtype mismatch"):
            open_file(tmp_path / "model.pt2")(images)


def test_torch_alone_reads_the_file_and_its_record(
    dropout: TrainedClassifier, tmp_path: Path
) -> None:
    (tmp_path / "model.pt2").write_bytes(encode(dropout, "bytes"))
    torch.save(IMAGES[:50], tmp_path / "images.pt")
    code = (
        "import torch\n"
        "extra = {'digits': ''}\n"
        "model = torch.export.load('model.pt2', extra_files=extra).module()\n"
        "print(extra['digits'])\n"
        "print(*model(torch.load('images.pt')).argmax(1).tolist())"
    )
    record, predictions = without_digits(code, cwd=tmp_path).splitlines()
    assert json.loads(record)["normalization"] == {"mean": MEAN, "std": STD}
    assert json.loads(record)["input"] == "uint8 from 0 to 255"
    found = [int(digit) for digit in predictions.split()]
    assert found == dropout(IMAGES[:50]).argmax(1).tolist()


def test_the_file_is_the_same_each_time_and_tells_nothing_of_this_machine(
    baseline: TrainedClassifier,
) -> None:
    content = encode(baseline, "floats")
    assert content == encode(baseline, "floats")
    for path in (Path(digits.__file__).parent, Path(torch.__file__).parent):
        assert str(path).encode() not in content  # nothing in the archive is compressed
