"""Hydra's sweeper `optuna`. Hydra imports this file at every start, so it imports little."""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """A sweeper that asks Optuna for its jobs."""

    def __init__(self, **_: Any) -> None:
        pass  # the search reads its options itself

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        from hydra.core.plugins import Plugins

        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        from digits.search.sweeper import search

        assert self.config is not None and self.hydra_context and self.launcher
        search(self.config, self.hydra_context.config_loader, self.launcher)
