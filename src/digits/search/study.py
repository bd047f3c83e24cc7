"""The study: a search's trials and their results, in an SQLite file in the sweep directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.storages import RDBStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import DatabaseError

from digits.text import first_line
from digits.errors import DigitsError
from digits.search.options import SearchOptions
from digits.search.pruners import make_pruner

STUDY_FILE = "study.db"
"""In the sweep directory; `optuna-dashboard sqlite:///FILE` opens it."""


@contextmanager
def open_study(sweep_dir: Path, options: SearchOptions, max_epochs: int) -> Iterator[Study]:
    """Opens a search's study, which is made unless it is there.

    Args:
        sweep_dir: the search's directory; the study has its name.
        options: the search's.
        max_epochs: of each trial, for the pruner.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # Trials in several processes write in turn, and each waits up to a minute for its own.
    waiting = {"connect_args": {"timeout": 60}}
    file = sweep_dir / STUDY_FILE
    try:
        storage = RDBStorage(f"sqlite:///{file}", engine_kwargs=waiting)
    except (DatabaseError, RuntimeError) as error:  # damaged, or of another version of Optuna
        raise DigitsError(f"{file} is no study: {first_line(error)}; try another name") from error
    try:
        yield optuna.create_study(
            storage=storage,
            study_name=sweep_dir.name,
            directions=options.directions,
            pruner=make_pruner(options.pruner, max_epochs),
            load_if_exists=True,
        )
    finally:
        storage.remove_session()
        storage.engine.dispose()


def check_same_search(study: Study, sweep_dir: Path, asked: dict[str, str]) -> None:
    """Records what a search is about; refuses to go on with one that is about something else.

    Args:
        study: the search's.
        sweep_dir: its directory, for the message.
        asked: search space, objectives and shared values, as text by key.

    Raises:
        DigitsError: they differ from those that it was started with; the first ones are named.
    """
    recorded: dict[str, str] = study.user_attrs.get("asked", {})
    if not recorded:
        study.set_user_attr("asked", asked)
        return
    differing = [key for key in recorded | asked if recorded.get(key) != asked.get(key)]
    if differing:
        was = ", ".join(f"{key}={recorded.get(key, 'null')}" for key in differing[:3])
        given = ", ".join(f"{key}={asked.get(key, 'null')}" for key in differing[:3])
        more = f" (and {len(differing) - 3} more)" if len(differing) > 3 else ""
        raise DigitsError(
            f"{sweep_dir} holds a search with {was}{more}, which cannot go on with {given}; "
            "try the same options again, or another name=SEARCH"
        )


def is_hopeless(study: Study, number: int, epoch: int, value: float) -> bool:
    """Records what a trial has come to after an epoch, and asks the pruner about it.

    Optuna's `Trial.report` is not used: it takes a `Trial`, which only the process has that asked
    for it, and refuses an epoch that a run which was stopped and resumed reports again.

    Args:
        study: the search's.
        number: of the trial.
        epoch: how many there were.
        value: of the objective.
    """
    storage = study._storage
    trial_id = storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
    storage.set_trial_intermediate_value(trial_id, epoch, value)
    return bool(study.pruner.prune(study, storage.get_trial(trial_id)))


def unbeaten(study: Study) -> list[FrozenTrial]:
    """Returns the best trial; with several objectives those that no other beats in all of them.

    The first of them is the best one by the first objective. Of equals, the earliest is best.
    """
    sign = -1 if study.directions[0] is StudyDirection.MAXIMIZE else 1
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    several = len(study.directions) > 1
    ranked = sorted(
        study.best_trials if several and trials else trials,
        key=lambda trial: (sign * trial.values[0], trial.number),
    )
    return ranked if several else ranked[:1]
