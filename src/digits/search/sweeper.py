"""A search: ask Optuna for trials, have the launcher run them, tell the study what they reached."""

import logging
import math
import shlex
import sys
import time
import warnings
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import optuna
from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from digits.data.datasets import NOT_MNIST, SAMPLE
from digits.errors import DigitsError
from digits.files import flat, relative, whole_file, write_atomically
from digits.run_directory import PRUNED, changes_result, finished_metrics, locked, read_choices
from digits.search.space import NUM_TRIALS, Search, in_words, read_search, why_not_pruned
from digits.search.study import batches, make_pruner, num_done, open_storage, pareto_front
from digits.sweeps.leaderboard import STUDY, write_leaderboard
from digits.text import duration, screen, train_command, typed
from digits.training.resume import check_same
from digits.training.status import ending

BEST = "best_experiment.yaml"
NOT_IN_AN_EXPERIMENT = ("trainer", "logger", "local", "debug", "experiment")
"""Choices that its file leaves open: of the machine, what goes before it, what it is made of."""
MIN_TRIALS = 5
"""Finished trials that importances take at least."""


def search(config: DictConfig, loader: ConfigLoader, launcher: Launcher) -> None:
    """Search until the study has as many trials as were asked for.

    A search of the same name is resumed: its trials stay, and one that was running when the process
    was stopped is run again under its number, into its directory, from its last checkpoint.

    Raises:
        DigitsError: the options are wrong, or others than when the search began; or trials failed.
    """
    asked = read_search(config, loader)
    objectives, sweep_dir = asked.options.objectives, Path(config.hydra.sweep.dir)
    if not (sweep_dir / STUDY).exists() and any(sweep_dir.glob("*/.hydra")):
        raise DigitsError(
            f"{sweep_dir} holds a sweep that is not a search, or whose {STUDY} is gone; "
            "try another name=SEARCH"
        )
    sweep_dir.mkdir(parents=True, exist_ok=True)
    groups = config.hydra.runtime.choices
    first = [  # what all trials share may fit the searched options of a config group only
        f"{key}={each.choices[0]}"
        for key, each in asked.space.items()
        if key in groups and isinstance(each, CategoricalDistribution)
    ]
    composed = loader.load_sweep_config(config, [*asked.shared, *first])
    logging.getLogger("hydra").setLevel(logging.WARNING)  # it tells a trial's log of the next one
    num_failed = 0
    with locked(sweep_dir), open_storage(sweep_dir) as storage:
        study = optuna.create_study(
            storage=storage,
            study_name=sweep_dir.name,
            directions=["maximize" if "accuracy" in each else "minimize" for each in objectives],
            pruner=make_pruner(asked.options.pruner, composed.trainer.max_epochs),
            load_if_exists=True,
        )
        _check_same_search(study, relative(sweep_dir), asked, composed)
        OmegaConf.save(config, sweep_dir / "multirun.yaml")
        report = Report(asked, study, relative(sweep_dir))
        try:
            for batch in batches(study, storage, asked):
                overrides = [
                    [f"{key}={value}" for key, value in trial.params.items()]
                    + [*asked.shared, f"callbacks.pruning.trial={trial.number}"]
                    for trial in batch
                ]
                jobs = launcher.launch(overrides, initial_job_idx=batch[0].number)
                for trial, job in zip(batch, jobs, strict=True):
                    ended = _tell(study, trial, job, sweep_dir, objectives)
                    report.trial(ended)
                    num_failed += ended.state is TrialState.FAIL
        finally:
            files = []
            if pareto_front(study):
                _write_experiment(study, objectives, sweep_dir, config, loader)
                files = [BEST, *draw(study, objectives, sweep_dir), "leaderboard.md"]
                write_leaderboard(sweep_dir)
        report.result(files)
    if num_failed:
        raise DigitsError(
            f"{num_failed} of {asked.n_trials} trials failed, see the train.log of each; "
            "run the same command to try others in their place"
        )


def _options(config: DictConfig) -> dict[str, object]:
    values = flat(OmegaConf.to_container(config))
    return {key: value for key, value in values if changes_result(key)}


def _check_same_search(study: Study, sweep_dir: Path, search: Search, composed: DictConfig) -> None:
    """Record what a search is about, or refuse to resume one that is about something else."""
    asked = {key: typed(value) for key, value in _options(composed).items()}
    asked |= {key.lstrip("+"): text for key, text in search.typed.items()}
    asked["hydra.sweeper.objectives"] = typed(search.options.objectives)
    recorded = study.user_attrs.get("asked")
    if recorded is None:
        study.set_user_attr("asked", asked)
    else:
        check_same(f"{sweep_dir} holds a search", recorded, asked)


def _tell(
    study: Study, trial: Trial, job: JobReturn, sweep_dir: Path, objectives: Sequence[str]
) -> FrozenTrial:
    """Tell the study how a trial's job has ended, with the reason if it has no values."""
    assert job.hydra_cfg is not None
    run_dir = Path(job.hydra_cfg.hydra.runtime.output_dir)
    metrics = finished_metrics(run_dir) or {}
    found = [metrics.get(objective) for objective in objectives]
    values = [math.nan if value is None else float(value) for value in found]
    state, reason = TrialState.COMPLETE, ""
    if job.status is JobStatus.FAILED:
        word, reason = ending(job._return_value)  # by its property it prints a line of Hydra's
        state = TrialState.PRUNED if word == PRUNED else TrialState.FAIL
    elif any(map(math.isnan, values)):
        state, reason = TrialState.FAIL, f"no number in metrics.json for {', '.join(objectives)}"
    trial.set_user_attr("run", str(run_dir.relative_to(sweep_dir.absolute())))
    trial.set_user_attr("reason", reason)
    return study.tell(trial, values if state is TrialState.COMPLETE else None, state)


class Report:
    """What the screen says of a search: a line for each trial, and the result at the end."""

    def __init__(self, asked: Search, study: Study, sweep_dir: Path) -> None:
        self.console, self.asked, self.study, self.sweep_dir = screen(), asked, study, sweep_dir
        self.num_done = self._num_before = num_done(study)
        self._started = time.perf_counter()
        options = asked.options
        at_once = f", {asked.n_jobs} at a time" if asked.n_jobs > 1 else ""
        self.console.print(
            f"{asked.n_trials} trials for {' and '.join(options.objectives)}: "
            f"sampler {options.sampler}, seed {options.seed}, "
            f"pruner {options.pruner or 'none'}{at_once}",
            style="bold",
        )
        if options.pruner and (why := why_not_pruned(options.objectives)):
            self.console.print(f"no trial is pruned: {why}")
        for key, text in asked.typed.items():
            self.console.print(f"  {key}={text}")
        self.console.print(f"search directory: {sweep_dir}")
        if self.num_done >= asked.n_trials:
            more = self.num_done + NUM_TRIALS
            advice = f"; try hydra.sweeper.n_trials={more}" if more <= asked.size else ""
            self.console.print(f"all {self.num_done} trials are done: nothing to do{advice}")
        elif self.num_done:
            self.console.print(f"resumed after {self.num_done} trials")

    def trial(self, trial: FrozenTrial) -> None:
        self.num_done += 1
        total, objectives = self.asked.n_trials, self.asked.options.objectives
        parts = [f"{self.num_done:>{len(str(total))}}/{total}  trial {trial.number}"]
        for key, value in trial.params.items():
            shown = f"{value:.4g}" if isinstance(value, float) else value
            parts.append(f"{key.rpartition('.')[2]} {shown}")
        if trial.state is TrialState.COMPLETE:
            parts += map(in_words, objectives, trial.values)
        else:
            word = "pruned" if trial.state is TrialState.PRUNED else "failed:"
            parts.append(f"{word} {trial.user_attrs['reason']}")
        best = pareto_front(self.study)
        numbers = ", ".join(str(each.number) for each in best)
        if len(objectives) > 1:
            parts.append(f"Pareto front: {numbers or 'empty'}")
        elif best:
            parts.append(f"best {in_words(objectives[0], best[0].values[0])} (trial {numbers})")
        if left := total - self.num_done:
            passed = time.perf_counter() - self._started
            seconds = passed / (self.num_done - self._num_before) * left
            parts.append(f"about {duration(seconds)} left")
        self.console.print("  ".join(parts))

    def result(self, files: Sequence[str]) -> None:
        objectives, sweep_dir = self.asked.options.objectives, self.sweep_dir
        word = "best" if len(objectives) == 1 else "Pareto front"
        for trial in pareto_front(self.study):
            parts = [f"{word}: trial {trial.number}", *map(in_words, objectives, trial.values)]
            parts += [f"{key}={value}" for key, value in trial.params.items()]
            self.console.print("  ".join(parts), style="bold")
            run_dir = sweep_dir / trial.user_attrs["run"]
            self.console.print(f"  its run: {run_dir}")
            if (finished_metrics(run_dir) or {}).get("dataset") == SAMPLE:
                self.console.print(f"  This was {NOT_MNIST}", style="bold red")
        if files:
            self.console.print(
                f"{', '.join(files)}: {sweep_dir}\n"
                "to train it again: mkdir -p conf/experiment; "
                f"cp {sweep_dir / BEST} conf/experiment/{sweep_dir.name}.yaml; "
                f"{train_command()} experiment={sweep_dir.name}"
            )
        self.console.print(f"to browse the trials: optuna-dashboard sqlite:///{sweep_dir / STUDY}")


def _write_experiment(
    study: Study,
    objectives: Sequence[str],
    sweep_dir: Path,
    config: DictConfig,
    loader: ConfigLoader,
) -> None:
    """Write a file for conf/experiment that gives the best trial's results again."""
    best = pareto_front(study)[0]
    run_dir = sweep_dir / best.user_attrs["run"]
    dataset = (finished_metrics(run_dir) or {}).get("dataset")
    reached = ", ".join(map(in_words, objectives, best.values))
    choices = read_choices(run_dir)
    groups = sorted(choices.keys() - {*NOT_IN_AN_EXPERIMENT})
    chosen = [f"{group}={choices[group]}" for group in groups]
    usual = _options(loader.load_configuration(config.hydra.job.config_name, chosen, RunMode.RUN))
    trained = OmegaConf.load(run_dir / ".hydra" / "config.yaml")
    assert isinstance(trained, DictConfig)
    values = OmegaConf.create()
    for key, value in sorted(_options(trained).items()):
        if key not in usual or usual[key] != value:
            OmegaConf.update(values, key, value)
    lines = [
        "# @package _global_",
        f"# The best of {len(study.trials)} trials: {reached} on {dataset}; {date.today()}.",
        f"# Found by: {shlex.join(['python', *sys.argv])}",
        f"# It is trial {best.number} of {relative(sweep_dir / STUDY)}.",
        "defaults:",
        *(f"  - override /{group}: {choices[group]}" for group in groups),
        OmegaConf.to_yaml(values) if values else "",
    ]
    write_atomically(sweep_dir / BEST, "\n".join(lines))


def draw(study: Study, objectives: Sequence[str], sweep_dir: Path) -> list[str]:
    """Draw how a search went and which options mattered, or the Pareto front, as Optuna does.

    The importances are of being among the best quarter (Watanabe et al., "PED-ANOVA", IJCAI 2023).

    Returns:
        The files' names.
    """
    import optuna.visualization.matplotlib as pictures
    from matplotlib import pyplot
    from optuna.importance import PedAnovaImportanceEvaluator

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    is_telling = len(complete) >= MIN_TRIALS and len({trial.values[0] for trial in complete}) > 1
    names = []
    pyplot.switch_backend("agg")  # which opens no window
    # Optuna changes pyplot's style, and says that its pictures may change.
    with pyplot.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("ignore", ".*importances of params to achieve low `target`")

        def save(file: str) -> None:
            with whole_file(sweep_dir / file) as temporary:
                pyplot.savefig(temporary, dpi=120, bbox_inches="tight")
            pyplot.close()
            names.append(file)

        if len(objectives) == 1:
            pictures.plot_optimization_history(study, target_name=objectives[0])
            save("history.png")
            if is_telling:
                evaluator = PedAnovaImportanceEvaluator(target_quantile=0.25)
                pictures.plot_param_importances(study, evaluator, target_name=objectives[0])
                save("importance.png")
        elif len(objectives) <= 3:
            pictures.plot_pareto_front(study, target_names=list(objectives))
            save("pareto_front.png")
    return names
