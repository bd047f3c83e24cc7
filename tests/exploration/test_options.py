import argparse
from pathlib import Path

import pytest

from digits.data.mnist import SOURCES, prepare
from digits.errors import DigitsError
from digits.exploration import options
from digits.exploration.options import add_data_options, in_words_of_a_verb
from digits.exploration.splits import read_splits


def test_the_sources_are_those_of_training() -> None:
    assert options.SOURCES == SOURCES


@pytest.mark.parametrize(("variable", "folder"), [("somewhere", "somewhere"), (None, "data")])
def test_the_folder_is_that_of_training(
    variable: str | None, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DIGITS_DATA", raising=False)
    if variable:
        monkeypatch.setenv("DIGITS_DATA", variable)
    parser = argparse.ArgumentParser()
    add_data_options(parser)
    assert parser.parse_args([]).data_dir == Path(folder)


def test_errors_name_the_options_of_a_verb(tmp_path: Path) -> None:
    with pytest.raises(DigitsError) as lacking, in_words_of_a_verb():
        prepare(tmp_path, "local")
    assert "--data-dir FOLDER" in str(lacking.value)
    assert "--source sample" in str(lacking.value)
    assert "data." not in str(lacking.value)
    with pytest.raises(DigitsError, match=r"^--val-size .* try --val-size "), in_words_of_a_verb():
        read_splits(tmp_path, "sample", 4000, 0)
    with pytest.raises(DigitsError, match="try --split-seed 0"), in_words_of_a_verb():
        read_splits(tmp_path, "sample", 100, -1)
