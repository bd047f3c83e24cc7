"""Lists what experiment files claim to reach, or trains them again and judges.

Each file of conf/experiment says in its header which command reaches which test accuracy, over how
many seeds. With names, their commands are run again, into outputs/claims; stopped, the same line
goes on. What is found is compared by Student's t-test of the two means and standard deviations, and
by an F-test of how much the results vary; a claim does not hold if p < 0.001 (why these tests and
this level: src/digits/claims/judge.py). The exit code is 0 if all of them hold, else 1. Nothing is
written into conf/.

Examples:
  digits claims                list them
  digits claims quick original train these again, and judge
  digits claims --all          all that take less than ten minutes
"""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from digits.errors import DigitsError

if TYPE_CHECKING:
    from rich.console import Console

    from digits.claims.header import Claim

FILE_WIDTH = 160
"""Characters in a line of what is not written to a terminal."""
LONGEST_S = 600.0
"""Training time of all runs of a claim, above which --all leaves it out."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments to train again")
    parser.add_argument(
        "--all", action="store_true", help="all whose training takes less than ten minutes"
    )
    parser.add_argument(
        "--rerun",
        action="store_true",
        help="delete earlier runs in outputs/claims first, and train anew",
    )


def run(arguments: argparse.Namespace) -> int:
    """Lists, or trains and judges."""
    from rich.console import Console

    from digits.claims.header import Claim, find_claim, read_claims
    from digits.claims.report import claim_table, duration
    from digits.page import show_table

    console = Console(highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:  # a file has no edge that a wide table could run into
        console.width = max(console.width, FILE_WIDTH)
    if arguments.all and arguments.names:
        raise DigitsError("--all goes without names; try one of them")
    claims = read_claims()
    wrong = [f"error: {each}" for each in claims.values() if isinstance(each, DigitsError)]
    if arguments.all:
        known = {name: claim for name, claim in claims.items() if isinstance(claim, Claim)}
        chosen = [claim for claim in known.values() if claim.total_time_s < LONGEST_S]
        left_out = [
            f"{name} ({duration(known[name].total_time_s) if name in known else 'no claim'})"
            for name in claims
            if name not in {claim.experiment for claim in chosen}
        ]
        if left_out:
            console.print(f"left out: {', '.join(left_out)}")
        if not chosen:
            raise DigitsError("no claim takes less than ten minutes; try digits claims NAME")
        code = _judge(console, chosen, arguments.rerun)
        console.print("\n".join(wrong), end="\n" if wrong else "")
        return 1 if wrong else code
    if arguments.names:
        names = list(dict.fromkeys(arguments.names))
        return _judge(console, [find_claim(claims, name) for name in names], arguments.rerun)
    if arguments.rerun:
        raise DigitsError("--rerun needs to know what; try digits claims NAME --rerun, or --all")
    show_table(console, claim_table(claims))
    console.print("to train one again and judge it: digits claims NAME; many: digits claims --all")
    console.print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


def _judge(console: "Console", claims: "Sequence[Claim]", anew: bool) -> int:
    """Trains and judges one after the other; a command that fails leaves the others alone."""
    from digits.claims.judge import HOLDS, judge
    from digits.claims.report import duration, sentences
    from digits.claims.rerun import read_runs, rerun

    lines, all_hold = [], True
    for place, claim in enumerate(claims, start=1):
        time = f"{duration(claim.total_time_s)} of training, on {claim.machine}"
        console.print(f"claim {place} of {len(claims)}: {claim.experiment} ({time})")
        try:
            num_finished = rerun(claim, anew)
            runs = read_runs(claim)
        except DigitsError as error:
            all_hold = False
            lines.append(f"error: {error}")
            continue
        judgement = judge(claim, [job.metrics["test/accuracy"] for job in runs])
        all_hold &= judgement.verdict == HOLDS
        lines += sentences(judgement)
        if num_finished:
            lines.append(f"  {num_finished} of these runs were there already; --rerun trains anew")
    console.print("\n".join(lines))
    return 0 if all_hold else 1
