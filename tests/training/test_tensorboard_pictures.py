"""What TensorBoard finds in a run besides curves."""

from pathlib import Path

import pytest
import torch
from runs import SMALL, events, train
from tensorboard.plugins.pr_curve import metadata  # type: ignore[import-untyped]
from torch import Tensor, nn

from digits.models import Classifier
from digits.runs import read_history


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "pictured"
    options = ("norm=exact", "trainer.max_epochs=5", "logger.projector=true")
    train(folder, *SMALL, *options)
    return folder


def test_the_configuration_is_there_as_text(run_dir: Path) -> None:
    (event,) = events(run_dir).Tensors("configuration/text_summary")
    text = event.tensor_proto.string_val[0].decode()
    assert "    optim:\n      _target_: torch.optim.Adam" in text
    assert "${" not in text


def test_the_graph_is_that_of_the_network(run_dir: Path) -> None:
    assert b"Linear" in events(run_dir).Graph().SerializeToString()


def test_input_confusion_matrix_and_mistakes_are_there_once(run_dir: Path) -> None:
    found = events(run_dir)
    assert set(found.Tags()["images"]) == {"input", "test/confusion matrix", "test/mistakes"}
    for tag in found.Tags()["images"]:
        (image,) = found.Images(tag)
        assert image.encoded_image_string.startswith(b"\x89PNG")
        assert image.width > 400


def test_histograms_of_all_weights_are_there_after_1_2_4_epochs(run_dir: Path) -> None:
    found = events(run_dir)
    assert set(found.Tags()["histograms"]) == {
        f"network/{layer}.{kind}" for layer in (1, 3) for kind in ("weight", "bias")
    }
    for tag in found.Tags()["histograms"]:
        assert [event.step for event in found.Histograms(tag)] == [9, 19, 39]


def test_each_digit_has_a_precision_recall_curve(run_dir: Path) -> None:
    plugin = events(run_dir).PluginTagToContent(metadata.PLUGIN_NAME)
    assert set(plugin) == {f"precision and recall/{digit}" for digit in range(10)}


def test_the_gradient_norm_is_logged_and_the_epochs_number_is_not(run_dir: Path) -> None:
    found = events(run_dir)
    norms = [event.value for event in found.Scalars("grad_norm")]
    assert norms and all(0 < norm < 1000 for norm in norms)
    assert "epoch" not in found.Tags()["scalars"]


def test_the_projector_has_each_test_image(run_dir: Path) -> None:
    (labels,) = run_dir.glob("*/test/metadata.tsv")
    assert len(labels.read_text().split()) == 1000
    assert (labels.parent / "sprite.png").exists()


def test_pictures_change_no_bit_of_the_training(run_dir: Path, tmp_path: Path) -> None:
    options = ("norm=exact", "trainer.max_epochs=5", "logger=none")
    train(tmp_path / "plain", *SMALL, *options)
    for ours, theirs in zip(read_history(run_dir), read_history(tmp_path / "plain"), strict=True):
        assert ours["train/loss"] == theirs["train/loss"]


class BranchingClassifier(Classifier):
    """A network that looks at its input before it decides; no trace can hold that."""

    def __init__(self, **training: object) -> None:
        super().__init__(**training)  # type: ignore[arg-type]
        self.network = Branching()


class Branching(nn.Module):
    """Cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(784, 10)

    def forward(self, images: Tensor) -> Tensor:
        if torch._C._get_tracing_state():
            raise RuntimeError("not traceable")
        return torch.as_tensor(self.layer(images.flatten(1)))


def test_a_network_that_cannot_be_traced_trains_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = f"model._target_={__name__}.BranchingClassifier"
    train(tmp_path / "a", *SMALL[:-1], target, "~model.hidden", "trainer.max_epochs=1")
    assert not events(tmp_path / "a").Tags()["graph"]
    assert "not traceable" not in capsys.readouterr().err
