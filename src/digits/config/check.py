"""The check before a run: names and values, before torch is imported or a directory made."""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from digits.config.arguments import check_arguments
from digits.config.contradictions import contradictions
from digits.config.errors import explain
from digits.config.hydra_part import check_hydra
from digits.text import typed
from digits.config.launchers import check_launcher
from digits.config.resolvers import share_start
from digits.config.place import check_place
from digits.config.rules import RULES
from digits.config.overrides import jobs
from digits.config.targets import check_targets
from digits.config.unknown import check_keys
from digits.errors import DigitsError
from digits.search.space import check_search
from digits.sweeps.follow import check_same_sweep
from digits.training.processes import check_common_name
from digits.training.resume import check_resumable


class CheckBeforeRun(Callback):
    """Ends a wrong command line before its run or sweep begins.

    Hydra turns the exceptions of a callback into warnings, but lets SystemExit pass. So what is
    wrong leaves as the cause of a SystemExit, and `digits.config.explain.one_line_errors` says it.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Checks the configuration of a single run."""
        try:
            HydraConfig.instance().set_config(config)  # the names of runs are made from it
            values = plain(config)
            check_targets(values)
            check_keys(values, config.hydra)
            check_values(values)
            check_common_name([*config.hydra.overrides.task, *config.hydra.overrides.hydra])
            check_place("hydra.run.dir", Path(config.hydra.run.dir))
            check_resumable(Path(config.hydra.run.dir), config)
            check_arguments(values)
            _check_files(values)
        except Exception as error:
            raise SystemExit(1) from error

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Checks the configurations of a sweep's jobs."""
        share_start()
        try:
            HydraConfig.instance().set_config(config)
            check_launcher(config.hydra)
            loader = GlobalHydra.instance().config_loader()
            composed = []
            for job, assignments in jobs(config, loader):
                composed.append(plain(job))
                check_hydra(job)
                check_targets(composed[-1])
                check_keys(composed[-1], job.hydra)
                for assigned in assignments:
                    check_targets(put(composed[-1], assigned))
                    check_values(put(composed[-1], assigned))
            check_search(config, loader)
            check_place("hydra.sweep.dir", Path(config.hydra.sweep.dir))
            check_same_sweep(config)
            if _runs_here(config) or _adds_keys(config):
                for values in composed:
                    check_arguments(values)
                    _check_files(values)
        except Exception as error:
            raise SystemExit(1) from error

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Ends a run that a user's mistake made fail, before Hydra prints a line of its own."""
        job_return: JobReturn = kwargs["job_return"]
        if job_return.status is JobStatus.FAILED:
            error = job_return._return_value  # `return_value` would print that line and raise
            if explain(error):
                raise SystemExit(1) from error


def check_job(config: DictConfig) -> None:
    """Checks what a job is about to import; a sweep's own process may have left it to its jobs.

    Args:
        config: the job's, without Hydra's part.

    Raises:
        DigitsError: a class or function is not allowed, or does not take an argument.
    """
    check_arguments(plain(config))


def _check_files(values: Mapping[str, Any]) -> None:
    """Looks for the files of a run that may not download them, before its directory is made."""
    if values["data"].get("source") == "local":
        from digits.data.datasets import prepare  # imports torch, as `check_arguments` has

        prepare(Path(values["data"]["dir"]), "local")


def _runs_here(config: DictConfig) -> bool:
    """Says whether this process will import torch in any case, which takes seconds."""
    return bool(config.hydra.launcher._target_ == BasicLauncher.__module__ + ".BasicLauncher")


def _adds_keys(config: DictConfig) -> bool:
    """Says whether a target or an argument is the command line's, and not a file's of conf/."""
    return any(line.startswith("+") or "_target_" in line for line in config.hydra.overrides.task)


def check_values(values: Mapping[str, Any]) -> None:
    """Checks the values of a composed configuration: each by itself, then together.

    Args:
        values: the configuration as plain Python, without Hydra's part.

    Raises:
        DigitsError: the first value that is wrong.
    """
    for rule in RULES:
        for key, value in find(values, rule.key):
            if not rule.kind.accepts(value):
                expected = f"{key} must be {rule.kind.words}"
                raise DigitsError(f"{expected}, got {typed(value)}; try {key}={rule.remedy}")
    for contradiction in contradictions(values):
        raise DigitsError(contradiction)


def find(values: Any, pattern: str, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the keys that a pattern stands for, with their values; a star is any one name."""
    if not pattern:
        yield key, values
    elif isinstance(values, Mapping):
        first, _, rest = pattern.partition(".")
        for name in values if first == "*" else {first} & values.keys():
            yield from find(values[name], rest, f"{key}.{name}".lstrip("."))


def plain(config: DictConfig) -> dict[str, Any]:
    """Returns a configuration as plain Python, without Hydra's part."""
    values: dict[str, Any] = {}
    for key in config:
        if key != "hydra":
            value = config[key]
            if OmegaConf.is_config(value):
                value = OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
            values[str(key)] = value
    return values


def put(values: dict[str, Any], assigned: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a copy of nested values with others put in by their dotted keys."""
    values = copy.deepcopy(values)
    for key, value in assigned.items():
        *parents, name = key.split(".")
        node = values
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    return values
