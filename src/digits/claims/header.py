"""What the header of an experiment file claims, read from its comments."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from digits.errors import DigitsError

FOLDER = Path("conf", "experiment")
COMMAND = "# claim: "
RESULT = re.compile(
    r"# test/accuracy: (?P<mean>\d+\.(?P<decimals>\d+))(?: ± (?P<std>\d+\.\d+))? % "
    r"over (?P<num_seeds>[1-9]\d*) seeds?; (?P<time_s>\d+(?:\.\d+)?) s of training a run; "
    r"(?P<machine>.+), torch (?P<torch>\d\S*), (?P<date>\d{4}-\d\d-\d\d)"
)
EXAMPLE = (
    "# test/accuracy: 97.51 ± 0.10 % over 5 seeds; 2.1 s of training a run; "
    "2 cores of AMD EPYC, torch 2.15, 2026-11-23"
)


@dataclass(frozen=True)
class Claim:
    """What a command reaches, over several seeds.

    Attributes:
        experiment: the name of the file.
        command: the words behind `python train.py`.
        seeds: those of the command.
        mean: test accuracy in percent, over the seeds.
        std: its standard deviation over the seeds, in percentage points; `None` for one seed.
        rounding: by how much rounding may have changed either of them, in percentage points.
        time_s: training time of one run, in seconds.
        machine: on what it was measured.
        torch: by which release.
        date: when, as 2026-11-23.
    """

    experiment: str
    command: tuple[str, ...]
    seeds: tuple[int, ...]
    mean: float
    std: float | None
    rounding: float
    time_s: float
    machine: str
    torch: str
    date: str

    @property
    def total_time_s(self) -> float:
        """Training time of all its runs, one after the other, in seconds."""
        return self.time_s * len(self.seeds)


def read_claims() -> dict[str, Claim | DigitsError | None]:
    """Reads the headers of all experiment files here.

    Returns:
        By the names of the files; `None` where there is no claim yet, and an error where a header
        is not as it should be.

    Raises:
        DigitsError: this is not the folder of train.py.
    """
    if not (FOLDER.is_dir() and Path("train.py").is_file()):
        raise DigitsError(
            f"there is no train.py with {FOLDER} here; try it in the folder of train.py"
        )
    claims: dict[str, Claim | DigitsError | None] = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        try:
            claims[path.stem] = read_claim(path)
        except DigitsError as error:
            claims[path.stem] = error
    return claims


def find_claim(claims: Mapping[str, Claim | DigitsError | None], name: str) -> Claim:
    """Returns the claim of an experiment.

    Raises:
        DigitsError: there is no such experiment, it has no claim yet, or a wrong one.
    """
    if name not in claims:
        raise DigitsError(f"there is no experiment {name}; valid: {', '.join(claims)}")
    claim = claims[name]
    if isinstance(claim, DigitsError):
        raise claim
    if claim is None:
        raise DigitsError(
            f"{FOLDER / name}.yaml has no claim yet; try two lines in its header: "
            f'"{COMMAND}python train.py -m experiment={name} seed=0,1,2,3,4" and "{EXAMPLE}"'
        )
    return claim


def read_claim(path: Path) -> Claim | None:
    """Reads the claim in the header of an experiment file; `None` if it has none.

    Lines with a name (`# claim NAME: ...`) are of other commands, and left to others.

    Raises:
        DigitsError: its lines are not as they should be.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:  # a folder, or a link to nothing
        raise DigitsError(f"{path} cannot be read: {error.strerror}; try to remove it") from error
    except UnicodeDecodeError as error:
        raise DigitsError(f"{path} is not UTF-8 text: {error}; try to save it as such") from error
    places = [place for place, line in enumerate(lines) if line.startswith(COMMAND)]
    if not places:
        return None
    if len(places) > 1:
        raise DigitsError(
            f"{path} has {len(places)} lines '{COMMAND.strip()}'; try one, and others as "
            "'# claim NAME: ...'"
        )
    command, seeds = _read_command(path, lines[places[0]].removeprefix(COMMAND))
    line = lines[places[0] + 1] if places[0] + 1 < len(lines) else ""
    found = RESULT.fullmatch(line.rstrip())
    if not found:
        raise DigitsError(
            f"{path}, line {places[0] + 2}: the claim's result must be written as '{EXAMPLE}', "
            f"got {line!r}"
        )
    if float(found["mean"]) > 100:
        raise DigitsError(
            f"{path}, line {places[0] + 2}: the accuracy must be at most 100 %, got "
            f"{found['mean']}; try the one that was measured"
        )
    if int(found["num_seeds"]) != len(seeds):
        raise DigitsError(
            f"{path} claims a result over {found['num_seeds']} seeds, and its command has "
            f"{len(seeds)}; try the number of those that were trained"
        )
    if (found["std"] is None) != (len(seeds) == 1):
        raise DigitsError(
            f"{path}, line {places[0] + 2}: ± is for two seeds or more, and then needed, got "
            f"{line!r}; try '{EXAMPLE}'"
        )
    return Claim(
        experiment=path.stem,
        command=command,
        seeds=seeds,
        mean=float(found["mean"]),
        std=None if found["std"] is None else float(found["std"]),
        rounding=0.5 * 10.0 ** -len(found["decimals"]),
        time_s=float(found["time_s"]),
        **{name: found[name] for name in ("machine", "torch", "date")},
    )


def _read_command(path: Path, text: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    try:
        words = shlex.split(text)
    except ValueError:  # a quotation mark without another
        words = []
    seeds = [word.removeprefix("seed=") for word in words if word.startswith("seed=")]
    whole = words[:3] == ["python", "train.py", "-m"] and f"experiment={path.stem}" in words
    if not whole or len(seeds) != 1 or not re.fullmatch(r"\d+(,\d+)*", seeds[0]):
        raise DigitsError(
            f"{path}: the claim's command must name the file and its seeds, got {text!r}; "
            f"try python train.py -m experiment={path.stem} seed=0,1,2,3,4"
        )
    if others := [word for word in words[3:] if not word.startswith("seed=") and _varies(word)]:
        raise DigitsError(
            f"{path}: the claim's command must vary the seed alone, and test, got {others[0]}; "
            f"try python train.py -m experiment={path.stem} seed={seeds[0]}"
        )
    numbers = tuple(int(seed) for seed in seeds[0].split(","))
    if len(set(numbers)) < len(numbers):
        raise DigitsError(f"{path}: the claim's seeds must differ, got seed={seeds[0]}")
    return tuple(words[2:]), numbers


def _varies(word: str) -> bool:
    """Says whether an override names several values, or has the test left out."""
    without_lists = re.sub(r"\[.*\]|\{.*\}", "", word)
    return bool(re.search(r",|=(choice|range|glob|interval)\(|^\+*test=", without_lists))
