from pathlib import Path

import pytest

from digits.artifact import save_model, write_model
from digits.data.datamodule import MNISTDataModule
from digits.ensembles.combine import combine
from digits.ensembles.names import check_folder, ensemble_folder, member_name
from digits.errors import DigitsError
from digits.models import BaselineClassifier


def made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    save_model(folder / "model.pt", BaselineClassifier([4]), MNISTDataModule())
    return folder


def test_a_member_is_called_by_its_run_or_its_sweep_and_number(tmp_path: Path) -> None:
    job, run = made(tmp_path / "sweep" / "12_cnn_seed-3"), made(tmp_path / "12_my_run")
    (tmp_path / "sweep" / "multirun.yaml").touch()
    assert member_name(job) == member_name(job / "model.pt") == "sweep-12"
    assert member_name(job / "checkpoints" / "last.ckpt") == "sweep-12-last"
    assert member_name(run) == "12_my_run"
    assert ensemble_folder([job, run]) == Path("outputs/ensembles/sweep-12+12_my_run")


def test_an_ensemble_of_many_has_a_short_name_of_its_own(tmp_path: Path) -> None:
    runs = [made(tmp_path / f"a-run-with-a-long-name-{number}") for number in range(20)]
    names = {ensemble_folder(runs).name, ensemble_folder(runs[:-1]).name}
    assert len(names) == 2
    assert all(len(name) <= 100 for name in names)


def test_no_other_model_is_overwritten(tmp_path: Path) -> None:
    members = [made(tmp_path / "first"), made(tmp_path / "second")]
    ensemble, unfinished = tmp_path / "ensemble", tmp_path / "unfinished"
    check_folder(ensemble, members)
    ensemble.mkdir()
    write_model(ensemble / "model.pt", combine(members))
    check_folder(ensemble, members)
    (unfinished / ".hydra").mkdir(parents=True)
    (unfinished / ".hydra" / "config.yaml").touch()
    for folder in (*members, made(tmp_path / "third"), unfinished):
        with pytest.raises(DigitsError, match=f"{folder} holds another model, which stays"):
            check_folder(folder, members)
    with pytest.raises(DigitsError, match="which stays"):
        check_folder(ensemble, [ensemble, members[0]])
