"""Every experiment file's claim can be read and composed, and is judged rightly."""

import re
from pathlib import Path

import pytest
from claims import LEVEL, Claim, main, p_of, read_claims
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from digits.errors import DigitsError

REPO = Path(__file__).parents[1]
CLAIMS = read_claims(REPO / "conf" / "experiment")
SWEEPS = [claim for claim in CLAIMS.values() if claim.num_seeds]


def claim_of(mean: float, std: float, num_seeds: int) -> Claim:
    return Claim("c", "python train.py -m seed=0,1", mean, std, num_seeds, "")


def test_every_line_that_claims_something_is_read() -> None:
    texts = [path.read_text() for path in (REPO / "conf" / "experiment").glob("*.yaml")]
    assert len(texts) > 5
    assert all("# claim: " in text for text in texts)
    assert sum(len(re.findall("^# claim", text, re.MULTILINE)) for text in texts) == len(CLAIMS)
    assert "cnn_ensemble" in CLAIMS and CLAIMS["cnn_ensemble"] not in SWEEPS


@pytest.mark.parametrize("claim", SWEEPS, ids=lambda claim: str(claim.name))
def test_a_claims_command_composes_its_experiment_over_its_seeds(claim: Claim) -> None:
    assert claim.command.startswith("python train.py -m ")
    assert f"experiment={claim.name}" in claim.overrides
    swept = [
        override
        for override in OverridesParser.create().parse_overrides(claim.overrides)
        if override.is_sweep_override()
    ]
    assert [override.key_or_group for override in swept] == ["seed"]
    assert len(set(swept[0].sweep_string_iterator())) == claim.num_seeds
    fixed = [word for word in claim.overrides if not word.startswith("seed=")]
    with initialize_config_dir(str(REPO / "conf"), version_base="1.3"):
        config = compose("config", [*fixed, "seed=0", "name=c"])
    assert config.test
    assert 90 < claim.mean < 100
    assert claim.std is not None and 0 < claim.std < 1


@pytest.mark.parametrize(
    ("mean", "std", "accuracies", "holds"),
    [
        (98.0, 0.14, [98.1, 97.9, 98.2, 98.0, 97.8], True),
        (98.0, 0.14, [97.4, 97.2, 97.3, 97.5, 97.1], False),
        (98.0, 0.14, [98.8, 98.6, 98.7, 98.9, 98.5], False),  # too low is as wrong as too high
        (98.0, 0.0, [98.0, 98.0, 98.0, 98.0, 98.0], True),
        (98.0, 0.0, [98.1, 98.1, 98.1, 98.1, 98.1], False),
        (98.0, 0.0, [98.004, 98.004, 98.004, 98.004, 98.004], True),  # which is written 98.00
    ],
)
def test_a_claim_holds_if_seeds_explain_the_difference(
    mean: float, std: float, accuracies: list[float], holds: bool
) -> None:
    assert (p_of(claim_of(mean, std, 5), accuracies) >= LEVEL) == holds


def test_claims_are_listed_and_what_cannot_be_trained_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPO)
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in CLAIMS)
    with pytest.raises(DigitsError, match="claim quik does not exist; try quick"):
        main(["quik"])
    with pytest.raises(DigitsError, match="not a sweep over seeds"):
        main(["cnn_ensemble"])
