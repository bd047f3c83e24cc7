"""Where Hydra finds the search: it imports this file at every start, so that it imports little."""

from typing import Any

from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """Hydra's sweeper that asks Optuna for the jobs.

    Args:
        options: those of conf/hydra/sweeper/optuna.yaml; `digits.search.options` reads them.
    """

    def __init__(self, **options: Any) -> None:
        self.config: DictConfig | None = None
        self.hydra_context: HydraContext | None = None
        self.launcher: Launcher | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Takes what Hydra has composed, and makes the launcher."""
        from hydra.core.plugins import Plugins

        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Searches."""
        from digits.search.search import search

        assert self.config is not None and self.hydra_context and self.launcher
        search(self.config, self.hydra_context.config_loader, self.launcher)
