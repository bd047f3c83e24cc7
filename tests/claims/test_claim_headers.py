"""The headers of experiment files: what they must be, and that those in conf/ are so."""

from pathlib import Path

import pytest

from digits.claims.header import find_claim, read_claim, read_claims
from digits.errors import DigitsError

REPO = Path(__file__).parents[2]
FILES = sorted((REPO / "conf" / "experiment").glob("*.yaml"))
COMMAND = "# claim: python train.py -m experiment=quick seed=0,1,2,3,4"
RESULT = (
    "# test/accuracy: 97.51 ± 0.10 % over 5 seeds; 2.1 s of training a run; "
    "2 cores of AMD EPYC, torch 2.15, 2026-11-23"
)


def header(folder: Path, *lines: str) -> Path:
    path = folder / "quick.yaml"
    path.write_text("\n".join(["# @package _global_", "# Quick. To try things.", *lines, "a: 1\n"]))
    return path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_claim_of_each_experiment_is_well_formed(path: Path) -> None:
    claim = read_claim(path)  # refuses another file's command, and another number of seeds
    if claim is not None:
        assert claim.experiment == path.stem
        assert f"experiment={path.stem}" in claim.command
        assert f"seed={','.join(map(str, claim.seeds))}" in claim.command
        assert 10 < claim.mean <= 100


def test_all_experiments_have_claims_once_one_has() -> None:
    missing = [path.name for path in FILES if read_claim(path) is None]
    assert not missing or len(missing) == len(FILES), f"no claim: {missing}"


def test_a_claim_is_read_as_it_is_written(tmp_path: Path) -> None:
    claim = read_claim(header(tmp_path, f"{COMMAND} model.hidden=[8,4]", RESULT))
    assert claim is not None
    assert claim.command == ("-m", "experiment=quick", "seed=0,1,2,3,4", "model.hidden=[8,4]")
    assert claim.seeds == (0, 1, 2, 3, 4)
    assert (claim.mean, claim.std, claim.time_s) == (97.51, 0.10, 2.1)
    assert claim.rounding == pytest.approx(0.005)
    assert claim.total_time_s == pytest.approx(10.5)
    assert (claim.machine, claim.torch, claim.date) == ("2 cores of AMD EPYC", "2.15", "2026-11-23")


def test_a_claim_over_one_seed_has_no_spread(tmp_path: Path) -> None:
    lines = COMMAND.replace("0,1,2,3,4", "7"), RESULT.replace(" ± 0.10", "").replace("5 s", "1 s")
    claim = read_claim(header(tmp_path, lines[0], lines[1].replace("1 seeds", "1 seed")))
    assert claim is not None
    assert (claim.seeds, claim.std) == ((7,), None)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DigitsError, match=r"bad\.yaml is not UTF-8 text"):
        read_claim(path)
    path.unlink()
    path.symlink_to(tmp_path / "nothing")
    with pytest.raises(DigitsError, match=r"bad\.yaml cannot be read"):
        read_claim(path)


def test_claims_with_a_name_are_left_to_others(tmp_path: Path) -> None:
    other = ("# claim cnn_ensemble: digits evaluate a b", "# test/accuracy: as you like")
    assert read_claim(header(tmp_path, *other)) is None
    claim = read_claim(header(tmp_path, *other, COMMAND, RESULT, *other))
    assert claim is not None
    assert claim.mean == 97.51


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([COMMAND], "line 4: the claim's result must be written as"),
        ([COMMAND, "", RESULT], "line 4: the claim's result must be written as"),
        ([COMMAND, RESULT.replace("%", "percent")], "must be written as"),
        ([COMMAND, RESULT.replace("2026-11-23", "today")], "must be written as"),
        ([COMMAND, RESULT.replace("97.51", "98")], "must be written as"),
        ([COMMAND, RESULT.replace("97.51", "197.51")], "must be at most 100 %, got 197.51"),
        ([COMMAND, RESULT.replace(" ± 0.10", "")], "± is for two seeds or more"),
        ([COMMAND, RESULT.replace("5 seeds", "3 seeds")], "over 3 seeds, and its command has 5"),
        ([COMMAND.replace("=quick", "=slow"), RESULT], "must name the file and its seeds"),
        ([COMMAND.replace(" -m", ""), RESULT], "must name the file and its seeds"),
        ([COMMAND.replace("0,1,2,3,4", "range(5)"), RESULT], "must name the file and its seeds"),
        ([COMMAND + " optim=adam,sgd", RESULT], "vary the seed alone, and test, got optim=adam,"),
        ([COMMAND + " optim.lr=range(3)", RESULT], "vary the seed alone, and test, got optim.lr="),
        ([COMMAND + " test=false", RESULT], "vary the seed alone, and test, got test=false"),
        ([COMMAND + " 'a", RESULT], "must name the file and its seeds"),
        ([COMMAND.replace("3,4", "3,3"), RESULT], "seeds must differ"),
        ([COMMAND, RESULT, COMMAND, RESULT], "has 2 lines '# claim:'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DigitsError, match=r"quick\.yaml") as refused:
        read_claim(header(tmp_path, *lines))
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_names_are_looked_for_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DigitsError, match=r"no train\.py with conf/experiment here"):
        read_claims()
    monkeypatch.chdir(REPO)
    claims = read_claims()
    assert sorted(claims) == [path.stem for path in FILES]
    with pytest.raises(DigitsError, match="no experiment origina; try original"):
        find_claim(claims, "origina")
    with pytest.raises(DigitsError, match="has no claim yet; try two lines"):
        find_claim({"quick": None}, "quick")
