"""A search: ask for trials, have the launcher run them, tell the study what has come of them."""

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf
from optuna.study import Study
from optuna.trial import Trial, TrialState

from digits.config.check import plain
from digits.errors import DigitsError
from digits.search.outcome import Outcome, read_outcome
from digits.search.plan import Plan, read_plan
from digits.search.results import write_results
from digits.search.samplers import make_sampler, suggest
from digits.search.study import STUDY_FILE, check_same_search, open_study
from digits.search.told import SearchScreen
from digits.training.report import relative
from digits.training.resume import locked


def search(config: DictConfig, loader: ConfigLoader, launcher: Launcher) -> None:
    """Searches until the study has as many trials as were asked for.

    A search of the same name goes on: its trials stay, and one that was running when the process
    was stopped is run again under its number, into its directory, from its last checkpoint.

    Args:
        config: the sweep's own configuration.
        loader: composes.
        launcher: runs jobs, given their overrides.

    Raises:
        DigitsError: the options are wrong, or others than when the search began; or trials failed.
    """
    plan = read_plan(config, loader)
    sweep_dir = Path(config.hydra.sweep.dir)
    if not (sweep_dir / STUDY_FILE).exists() and any(sweep_dir.glob("*/.hydra")):
        raise DigitsError(f"{sweep_dir} holds a sweep that is no search; try another name=SEARCH")
    sweep_dir.mkdir(parents=True, exist_ok=True)
    shared = loader.load_sweep_config(config, plan.shared(config.hydra.runtime.choices))
    max_epochs, strategy = shared.trainer.max_epochs, str(shared.trainer.get("strategy"))
    # A name is made from the time, which in another process would be another one.
    place = [] if "name" in plan.overrides else [f"name={config.name}"]
    logging.getLogger("hydra").setLevel(logging.WARNING)  # it tells a trial's log of the next one
    failed: list[Outcome] = []
    with locked(sweep_dir), open_study(sweep_dir, plan.options, max_epochs) as study:
        check_same_search(study, relative(sweep_dir), plan.asked(plain(shared)))
        OmegaConf.save(config, sweep_dir / "multirun.yaml")
        screen = SearchScreen(plan, len(counted(study)))
        screen.start(relative(sweep_dir), plan.options.why_not_pruned(strategy))
        try:
            for batch in _batches(study, plan):
                overrides = [plan.command_line(trial.params) + place for trial in batch]
                jobs = launcher.launch(overrides, initial_job_idx=batch[0].number)
                screen.advance(len(batch))
                for trial, job in zip(batch, jobs, strict=True):
                    outcome = read_outcome(job, plan.options.objectives)
                    _tell(study, trial, outcome, sweep_dir)
                    screen.show(trial.number, trial.params, outcome, study)
                    failed += [outcome] if outcome.failed else []
        finally:
            screen.stop()
            files = write_results(study, plan, sweep_dir, str(config.hydra.job.config_name), loader)
        screen.show_result(study, failed, relative(sweep_dir), files)
    if failed:
        raise DigitsError(
            f"{len(failed)} of {plan.n_trials} trials failed, and the train.log of each says more; "
            "the same command again tries others in their place"
        )


def counted(study: Study) -> list[int]:
    """Returns the numbers of the trials that count; one that failed does not."""
    states = (TrialState.COMPLETE, TrialState.PRUNED)
    return [trial.number for trial in study.get_trials(deepcopy=False, states=states)]


def _batches(study: Study, plan: Plan) -> Iterator[list[Trial]]:
    """Yields trials to run at a time; their numbers follow on each other, as a launcher's jobs do.

    First come those that were running when the search was stopped, then as many new ones as are
    missing, each proposed in the light of what the ones before have come to.
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


def _tell(study: Study, trial: Trial, outcome: Outcome, sweep_dir: Path) -> None:
    trial.set_user_attr("run", str(outcome.run_dir.relative_to(sweep_dir.absolute())))
    if outcome.values is not None:
        study.tell(trial, outcome.values)
        return
    trial.set_user_attr("reason", outcome.reason)
    study.tell(trial, state=TrialState.FAIL if outcome.failed else TrialState.PRUNED)
