"""What a search leaves behind in its directory, besides the study and the trials' runs."""

import shlex
import sys
from datetime import date
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from optuna.study import Study
from optuna.trial import FrozenTrial

from digits.errors import DigitsError
from digits.files import relative
from digits.runs import finished_metrics
from digits.search.best import write_experiment
from digits.search.draw_history import draw_history
from digits.search.draw_importance import draw_importance
from digits.search.options import in_words
from digits.search.plan import Plan
from digits.search.study import STUDY_FILE, unbeaten
from digits.sweeps.leaderboard import write_leaderboard

BEST, HISTORY, IMPORTANCE = "best_experiment.yaml", "history.png", "importance.png"


def write_results(
    study: Study, plan: Plan, sweep_dir: Path, config_name: str, loader: ConfigLoader
) -> list[str]:
    """Writes the best configuration, the pictures and the leaderboard; returns the files' names.

    With several objectives, the experiment is the one that is best by the first of them, and each
    other one that is unbeaten has a file with its number.

    Args:
        study: the search's.
        plan: what it is about.
        sweep_dir: its directory.
        config_name: of the primary configuration file.
        loader: composes.

    Raises:
        DigitsError: a best trial's run is gone; what does not need it has been written.
    """
    best = unbeaten(study)
    if not best:
        return []
    for old in sweep_dir.glob("best_experiment_*.yaml"):
        old.unlink()
    names = [BEST, *(f"best_experiment_{trial.number}.yaml" for trial in best[1:])]
    gone = [trial for trial in best if not finished_metrics(sweep_dir / trial.user_attrs["run"])]
    for name, trial in zip(names, best, strict=True):
        run_dir = sweep_dir / trial.user_attrs["run"]
        if trial in gone:
            continue
        comments = _comments(study, trial, plan, sweep_dir)
        write_experiment(sweep_dir / name, run_dir, config_name, loader, comments)
    draw_history(sweep_dir / HISTORY, study, plan.options.objectives)
    drawn = draw_importance(sweep_dir / IMPORTANCE, study, plan.options.objectives)
    write_leaderboard(sweep_dir)
    if gone:
        numbers = ", ".join(f"{trial.number} ({trial.user_attrs['run']})" for trial in gone)
        raise DigitsError(
            f"the run of trial {numbers} is gone or damaged: no experiment file is made of it; "
            "try another name=SEARCH"
        )
    return [*names, HISTORY, *([IMPORTANCE] if drawn else []), "leaderboard.md"]


def _comments(study: Study, trial: FrozenTrial, plan: Plan, sweep_dir: Path) -> list[str]:
    objectives, run_dir = plan.options.objectives, sweep_dir / trial.user_attrs["run"]
    metrics = finished_metrics(run_dir) or {}
    values = ", ".join(
        f"{objective} {in_words(objective, value)}"
        for objective, value in zip(objectives, trial.values, strict=True)
    )
    number = len(study.get_trials(deepcopy=False))
    place = "The best" if len(objectives) == 1 else "Unbeaten"
    return [
        f"{place} of {number} trials: {values} on {metrics.get('dataset')}; {date.today()}.",
        f"Found by: {shlex.join(['python', *sys.argv])}",
        f"It is trial {trial.number} of {relative(sweep_dir / STUDY_FILE)}.",
    ]
