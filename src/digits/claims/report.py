"""Claims on the screen: all of them as a table, and a judgement as a line or two."""

from collections.abc import Mapping

from digits.claims.header import Claim
from digits.claims.judge import LARGE, LEVEL, UNKNOWN, Judgement
from digits.comparison.difference import p_text
from digits.errors import DigitsError
from digits.page import Table

NOTHING = "\u2013"


def claim_table(claims: Mapping[str, Claim | DigitsError | None]) -> Table:
    """Makes the table of all experiment files; what is not known is a dash."""
    rows = []
    for name, claim in claims.items():
        if not isinstance(claim, Claim):
            rows.append((name, "wrong header" if claim else "no claim yet", *[NOTHING] * 3))
            continue
        accuracy = accuracy_text(claim.mean, claim.std)
        time = f"{claim.time_s:,.1f} s"
        rows.append((name, accuracy, str(len(claim.seeds)), time, claim.date))
    columns = ("experiment", "test accuracy", "seeds", "time of a run", "date")
    return Table(columns, rows)


def accuracy_text(mean: float, std: float | None) -> str:
    """Returns percent as headers have them: "97.51 ± 0.10 %"."""
    return f"{mean:.2f} %" if std is None else f"{mean:.2f} ± {std:.2f} %"


def duration(seconds: float) -> str:
    """Returns e.g. "45 s" or "12 min"."""
    return f"{seconds:.2g} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def sentences(judgement: Judgement) -> list[str]:
    """Says what was claimed, what was found, and how much that can tell."""
    claim, found = judgement.claim, judgement
    head = (
        f"{claim.experiment} {found.verdict}: "
        f"claimed {accuracy_text(claim.mean, claim.std)} ({_seeds(len(claim.seeds))}), "
        f"found {accuracy_text(found.mean, found.std)} ({_seeds(found.num_seeds)}): "
        f"{_points(found.difference)} points"
    )
    if found.interval is None or found.p is None or found.noticed is None:
        why = "  one seed each does not tell how much seeds vary; a claim over five would"
        return [head, why] if found.verdict == UNKNOWN else [head]
    low, high = map(_points, found.interval)
    lines = [f"{head}, 95 % interval {low} to {high}, p {p_text(found.p, '= ')}"]
    if found.p_spread is not None and found.p_spread < LEVEL:
        lines.append(f"  the results vary more than claimed: p {p_text(found.p_spread, '= ')}")
    lines.append(f"  the test notices differences of {found.noticed:.2f} points and more")
    if found.noticed > LARGE:
        lines[-1] += ": so wide an interval says little; more seeds say more"
    return lines


def _points(difference: float) -> str:
    return f"{difference:+.2f}".replace("-0.00", "+0.00")


def _seeds(number: int) -> str:
    return "1 seed" if number == 1 else f"{number} seeds"
