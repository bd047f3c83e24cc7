"""Train again what the headers of conf/experiment claim to reach, and judge whether they do.

    python benchmarks/claims.py                 list the claims
    python benchmarks/claims.py quick original  train these again, into outputs/claims, and judge

Run the same command to resume after a stop. A claim does not hold if seeds alone would explain the
difference of the two means with p < 0.001, by Student's t-test. The level is strict because claims
are checked again and again. The exit code is 1 if a claim does not hold.
"""

import argparse
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from digits.errors import DigitsError
from digits.page import Table, show_table
from digits.run_directory import find_runs, read_run
from digits.text import screen, similar

EXPERIMENTS, OUTPUTS = Path("conf", "experiment"), Path("outputs", "claims")
CLAIM = re.compile(
    r"^# claim(?: (?P<name>\w+))?: (?P<command>.+)\n"
    r"# test/accuracy: (?P<mean>\d+\.\d+)(?: ± (?P<std>\d+\.\d+))? %"
    r"(?: over (?P<num_seeds>\d+) seeds)?(?P<circumstances>.*)$",
    re.MULTILINE,
)
LEVEL = 0.001
RESOLUTION = 0.01
"""Percentage points, as headers are written: no standard deviation is taken to be smaller."""


@dataclass(frozen=True)
class Claim:
    """What a command reaches.

    Attributes:
        name: of the experiment file, or its own.
        command: as it is typed.
        mean: test accuracy in percent, over the seeds.
        std: its standard deviation over the seeds, in percentage points; `None` without seeds.
        num_seeds: how many there are; 0 for what is not a sweep over seeds.
        circumstances: time, machine, release and date.
    """

    name: str
    command: str
    mean: float
    std: float | None
    num_seeds: int
    circumstances: str

    @property
    def overrides(self) -> list[str]:
        """The words behind `python train.py -m`."""
        return shlex.split(self.command)[3:]


def read_claims(folder: Path = EXPERIMENTS) -> dict[str, Claim]:
    """Read the headers of all experiment files, by the claims' names."""
    claims = {}
    for path in sorted(folder.glob("*.yaml")):
        for found in CLAIM.finditer(path.read_text(encoding="utf-8")):
            name = found["name"] or path.stem
            claims[name] = Claim(
                name=name,
                command=found["command"],
                mean=float(found["mean"]),
                std=float(found["std"]) if found["std"] else None,
                num_seeds=int(found["num_seeds"] or 0),
                circumstances=found["circumstances"].lstrip("; "),
            )
    return claims


def train(claim: Claim) -> list[float]:
    """Run a claim's command again; return the test accuracies in percent, one a seed.

    Raises:
        DigitsError: the command failed, or it trained on the embedded sample in place of MNIST.
    """
    folder = OUTPUTS / claim.name
    place = [f"name={claim.name}", f"hydra.sweep.dir={folder}"]
    command = [sys.executable, "train.py", "-m", *claim.overrides, *place]
    if code := subprocess.run(command).returncode:
        raise DigitsError(f"{claim.name}: its command ended with exit code {code}")
    runs = [read_run(path) for path in find_runs([folder])]
    if any(run.metrics.get("dataset") == "mnist-sample-5k" for run in runs):
        raise DigitsError(f"{claim.name}: MNIST is not here; try digits data, and delete {folder}")
    accuracies = [100 * run.test_accuracy for run in runs if run.test_accuracy is not None]
    if len(accuracies) != claim.num_seeds:
        raise DigitsError(f"{folder} has {len(accuracies)} tested runs, not {claim.num_seeds}")
    return accuracies


def p_of(claim: Claim, accuracies: Sequence[float]) -> float:
    """Return the probability that two groups of seeds of one command differ as much (Student)."""
    from scipy.stats import ttest_ind_from_stats

    claimed = claim.mean, max(claim.std or 0.0, RESOLUTION), claim.num_seeds
    found_std = max(statistics.stdev(accuracies), RESOLUTION)
    found = statistics.fmean(accuracies), found_std, len(accuracies)
    return float(ttest_ind_from_stats(*claimed, *found).pvalue)


def main(arguments: Sequence[str] | None = None) -> int:
    """List the claims, or train and judge those that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="claims to train again")
    names, claims, all_hold = parser.parse_args(arguments).names, read_claims(), True
    console = screen(wide=True)
    if not names:
        rows = [
            (name, f"{each.mean:.2f}" + (f" ± {each.std:.2f}" if each.std else ""), each.command)
            for name, each in claims.items()
        ]
        show_table(console, Table(("claim", "test accuracy (%)", "command"), rows))
    for name in names:
        claim = claims.get(name)
        if claim is None:
            near = similar(name, claims) or sorted(claims)
            raise DigitsError(f"claim {name} does not exist; try {' or '.join(near)}")
        if claim.num_seeds < 2:
            raise DigitsError(f"{name} is not a sweep over seeds; its command: {claim.command}")
        console.print(f"{name}, as claimed: {claim.circumstances}")
        accuracies = train(claim)
        p = p_of(claim, accuracies)
        all_hold &= p >= LEVEL
        console.print(
            f"{name} {'holds' if p >= LEVEL else 'DOES NOT HOLD'}: claimed {claim.mean:.2f} ± "
            f"{claim.std:.2f} %, found {statistics.fmean(accuracies):.2f} ± "
            f"{statistics.stdev(accuracies):.2f} % over {len(accuracies)} seeds, p = {p:.2g}"
        )
    return 0 if all_hold else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DigitsError as error:
        sys.exit(f"error: {error}")
