"""What to try next."""

import itertools
from collections.abc import Iterator

from optuna.study import Study
from optuna.trial import Trial, TrialState

from digits.search.plan import Plan
from digits.search.samplers import make_sampler, suggest


def counted(study: Study) -> list[int]:
    """Returns the numbers of the trials that count; one that failed does not."""
    states = (TrialState.COMPLETE, TrialState.PRUNED)
    return [trial.number for trial in study.get_trials(deepcopy=False, states=states)]


def batches(study: Study, plan: Plan) -> Iterator[list[Trial]]:
    """Yields trials to run at a time; their numbers follow on each other, as a launcher's jobs do.

    First come those that were running when the search was stopped, then as many new ones as are
    missing, each proposed in the light of what the ones before have come to.

    Args:
        study: the search's; no other process asks it.
        plan: how many trials there shall be, and how many at a time.
    """
    missing = max(0, plan.n_trials - len(counted(study)))
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    interrupted = iter([trial.number for trial in running])
    while missing > 0:
        size = min(missing, plan.n_jobs)
        asked = [_ask(study, plan, next(interrupted, None)) for _ in range(size)]
        missing -= size
        for _, group in itertools.groupby(
            enumerate(asked), key=lambda item: item[1].number - item[0]
        ):
            yield [trial for _, trial in group]


def _ask(study: Study, plan: Plan, number: int | None) -> Trial:
    """Proposes a trial, or completes the proposal of one whose process was stopped."""
    trials = study.get_trials(deepcopy=False)
    study.sampler = make_sampler(plan, len(trials) if number is None else number)
    trial = study.ask() if number is None else Trial(study, trials[number]._trial_id)
    for key, dimension in plan.space.items():
        suggest(trial, key, dimension)
    return trial
