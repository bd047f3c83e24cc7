"""A search: ask for trials, have the launcher run them, tell the study what has come of them."""

import logging
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf
from optuna.study import Study
from optuna.trial import Trial, TrialState

from digits.config.overrides import plain
from digits.errors import DigitsError
from digits.files import relative
from digits.runs import locked
from digits.search.outcome import Outcome, read_outcome
from digits.search.plan import read_plan
from digits.search.proposals import batches, counted
from digits.search.results import write_results
from digits.search.study import STUDY_FILE, check_same_search, open_study
from digits.search.told import SearchScreen


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
        raise DigitsError(
            f"{sweep_dir} holds a sweep that is no search, or whose {STUDY_FILE} is gone; "
            "try another name=SEARCH"
        )
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
            for batch in batches(study, plan):
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


def _tell(study: Study, trial: Trial, outcome: Outcome, sweep_dir: Path) -> None:
    trial.set_user_attr("run", str(outcome.run_dir.relative_to(sweep_dir.absolute())))
    if outcome.values is not None:
        study.tell(trial, outcome.values)
        return
    trial.set_user_attr("reason", outcome.reason)
    study.tell(trial, state=TrialState.FAIL if outcome.failed else TrialState.PRUNED)
