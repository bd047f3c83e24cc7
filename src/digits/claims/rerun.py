"""A claim's command, run again, and what its runs reached."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from digits.claims.header import Claim
from digits.data.files import MNIST, SAMPLE
from digits.errors import DigitsError, Terminated
from digits.exploration.options import default_folder
from digits.runs import FINISHED, read_mapping
from digits.sweeps.jobs import Job, read_jobs

FOLDER = Path("outputs", "claims")
INTERRUPTED, TERMINATED = 130, 143


def rerun(claim: Claim, anew: bool) -> int:
    """Runs the claim's command, into outputs/claims; goes on with what is there.

    Args:
        claim: whose command.
        anew: whether earlier runs of it are deleted first.

    Returns:
        How many runs were finished before, and so were not trained again.

    Raises:
        DigitsError: the command failed, the runs that are there are of another one, or MNIST cannot
            be had; then nothing is deleted.
    """
    folder = FOLDER / claim.experiment
    # A name in the command, if there is one, would be that of the claim's first sweep.
    words = [word for word in claim.command if not word.startswith("name=")]
    if anew and folder.exists():
        if any(job.metrics.get("dataset") == MNIST for job in finished_jobs(folder)):
            from digits.data.mnist import prepare  # takes seconds

            prepare(default_folder(), "download")  # lest they make way for runs of the sample
        shutil.rmtree(folder)
    words.append(f"name={claim.experiment}")
    _check_same_command(folder, words)
    num_finished = len(finished_jobs(folder))
    code = _call([sys.executable, "train.py", *words, f"hydra.sweep.dir={folder}"])
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code == TERMINATED:
        raise Terminated(code)
    if code:
        raise DigitsError(f"{claim.experiment}: its command failed, exit code {code}; see above")
    return num_finished


def finished_jobs(folder: Path) -> list[Job]:
    """Reads the finished and tested runs of a sweep directory; none if it is not there."""
    jobs = read_jobs(folder) if folder.is_dir() else []
    return [
        job
        for job in jobs
        if job.status == FINISHED and job.metrics.get("test/accuracy") is not None
    ]


def read_runs(claim: Claim) -> list[Job]:
    """Reads what was trained for a claim: one run for each of its seeds.

    Raises:
        DigitsError: a run is missing, or its images are not those of the claim.
    """
    folder = FOLDER / claim.experiment
    jobs = finished_jobs(folder)
    found = sorted(job.options.get("seed", "") for job in jobs)
    if found != sorted(map(str, claim.seeds)):
        raise DigitsError(
            f"{claim.experiment}: {folder} should have one finished run for each of the seeds "
            f"{', '.join(map(str, claim.seeds))}, and has {', '.join(found) or 'none'}; "
            f"try digits claims {claim.experiment} --rerun"
        )
    for job in jobs:
        data = read_mapping(job.path / ".hydra" / "config.yaml").get("data") or {}
        if job.metrics.get("dataset") == SAMPLE and data.get("source") != "sample":
            raise DigitsError(
                f"{claim.experiment}: MNIST was not there, so that the sample of 5,000 images was "
                "trained on; try digits data, then --rerun"
            )
    return jobs


def _check_same_command(folder: Path, words: Sequence[str]) -> None:
    if not (folder / "multirun.yaml").exists():
        return
    options = read_mapping(folder / "multirun.yaml")
    before = options.get("hydra", {}).get("overrides", {}).get("task", [])
    now = [word for word in words if not word.startswith(("-", "hydra"))]
    if sorted(before) != sorted(now):
        raise DigitsError(
            f"{folder} holds runs of another command than the claim's; try --rerun, which deletes "
            "them first"
        )


def _call(command: Sequence[str]) -> int:
    # subprocess.call would kill the process on Ctrl-C, which it answers by saving a checkpoint.
    process = subprocess.Popen(command)
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
