"""The study: a search's trials and their results, in an SQLite file in its directory."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from digits.randomness import draw_seed
from digits.search.space import Search
from digits.sweeps.leaderboard import STUDY

SAMPLERS: dict[str, Callable[..., BaseSampler]] = {
    "tpe": optuna.samplers.TPESampler,
    "cmaes": optuna.samplers.CmaEsSampler,
    "gp": optuna.samplers.GPSampler,
    "random": optuna.samplers.RandomSampler,
    "grid": optuna.samplers.BruteForceSampler,
}
NUM_STARTUP_TRIALS = 5
"""Trials that have to be complete before their median prunes."""


@contextmanager
def open_storage(sweep_dir: Path) -> Iterator[RDBStorage]:
    """Open the file of a search's study, which is made if it is not there."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # Trials in several processes write in turn, and each waits up to a minute for its own.
    waiting = {"connect_args": {"timeout": 60}}
    storage = RDBStorage(f"sqlite:///{sweep_dir / STUDY}", engine_kwargs=waiting)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def open_trial(study: Study, storage: RDBStorage, number: int) -> Trial:
    """Return a trial that another process asked for, or this one before it was stopped."""
    study_id = storage.get_study_id_from_name(study.study_name)
    return Trial(study, storage.get_trial_id_from_study_id_trial_number(study_id, number))


def make_sampler(name: str, seed: int, number: int) -> BaseSampler:
    """Make the sampler for one trial.

    What it draws depends on the search's seed, the trial's number and the results so far, so that
    a search that was stopped proposes what it would have proposed otherwise.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # brute force is called experimental
        return SAMPLERS[name](seed=draw_seed(seed, number))


def make_pruner(name: str | None, max_epochs: int) -> BasePruner:
    """Make a pruner, for which an epoch, counted from 1, is a step.

    Args:
        name: "median": a trial ends that is worse than half of the others were after so many
            epochs (Golovin et al., "Google Vizier", KDD 2017); "hyperband": trials compete in
            brackets that look after 1, 3, 9, ... epochs, and the best third goes on (Li et al.,
            JMLR 2018); `None`: all trials go to their end.
        max_epochs: of a whole trial.
    """
    if name == "median":
        # After one epoch, networks have just begun to differ.
        return optuna.pruners.MedianPruner(NUM_STARTUP_TRIALS, n_warmup_steps=2)
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(1, max_epochs, reduction_factor=3)
    return optuna.pruners.NopPruner()


def num_done(study: Study) -> int:
    """Return the number of trials that count: those that came to their end or were pruned."""
    states = (TrialState.COMPLETE, TrialState.PRUNED)
    return len(study.get_trials(deepcopy=False, states=states))


def pareto_front(study: Study) -> list[FrozenTrial]:
    """Return the best trial; of several objectives, the trials that no other one dominates.

    The best by the first objective comes first, of equals the earliest.
    """
    sign = -1 if study.directions[0] is StudyDirection.MAXIMIZE else 1
    trials = sorted(study.best_trials, key=lambda trial: (sign * trial.values[0], trial.number))
    return trials if len(study.directions) > 1 else trials[:1]


def batches(study: Study, storage: RDBStorage, search: Search) -> Iterator[list[Trial]]:
    """Yield trials to run at a time; their numbers are consecutive, as those of a launcher's jobs.

    First come those that were running when the search was stopped, one by one, then new ones, each
    proposed in the light of what the ones before have come to.
    """
    trials, missing = study.get_trials(), search.n_trials - num_done(study)
    # Brute force never comes back to a combination, not even to one that failed.
    done = [trial.params for trial in trials if trial.state is not TrialState.FAIL]
    failed = [trial.params for trial in trials if trial.params not in done]
    again = iter([each for place, each in enumerate(failed) if each not in failed[:place]])
    for trial in trials:
        if trial.state is TrialState.RUNNING and trial.params.keys() != search.space.keys():
            # The process was stopped while it was being proposed.
            study.tell(trial.number, state=TrialState.FAIL)
        elif trial.state is TrialState.RUNNING and missing > 0:
            missing -= 1
            yield [open_trial(study, storage, trial.number)]
    while missing > 0:
        batch = []
        for _ in range(min(missing, search.n_jobs)):
            if search.options.sampler == "grid" and (params := next(again, None)):
                study.enqueue_trial(params)
            number = len(study.get_trials(deepcopy=False))
            study.sampler = make_sampler(search.options.sampler, search.options.seed, number)
            batch.append(study.ask(search.space))
        # Told that the last combination has ended, brute force would stop a Study.optimize() that
        # is not running.
        study.sampler = optuna.samplers.RandomSampler()
        missing -= len(batch)
        yield batch
