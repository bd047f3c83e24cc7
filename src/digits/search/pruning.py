"""Ends a hopeless trial early: a Lightning callback."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from pytorch_lightning import Callback, LightningModule, Trainer

from digits.search.options import in_words
from digits.search.trial import Pruned, TrialPlace, current_trial

if TYPE_CHECKING:
    from optuna.study import Study


class Pruning(Callback):
    """Tells the study how far a trial has come after each epoch, and ends it if it is hopeless.

    Args:
        trial: where the study is, and which trial this run is.
    """

    def __init__(self, trial: TrialPlace) -> None:
        self.trial = trial
        (self.objective,) = trial.options.objectives
        self._open = ExitStack()
        self._study: Study | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Opens the study."""
        from digits.search.study import open_study  # imports Optuna

        opened = open_study(self.trial.sweep_dir, self.trial.options, trainer.max_epochs or 1)
        self._study = self._open.enter_context(opened)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tells the study, before the epoch's checkpoint is written.

        Raises:
            Pruned: the trial is hopeless. So it is not tested, and the next one begins.
        """
        from digits.search.study import is_hopeless

        epoch, value = trainer.current_epoch + 1, trainer.callback_metrics.get(self.objective)
        if value is None:
            return
        assert self._study is not None
        hopeless = is_hopeless(self._study, self.trial.number, epoch, float(value))
        if hopeless and epoch < (trainer.max_epochs or 1):  # after the last one, nothing is saved
            reached = f"{self.objective} {in_words(self.objective, float(value))}"
            raise Pruned(f"after epoch {epoch} of {trainer.max_epochs}, {reached}")

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Closes the study."""
        self._open.close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Closes the study."""
        self._open.close()


def pruning_callbacks(strategy: str) -> list[Callback]:
    """Returns the callback that this run needs if it is a trial that may be pruned.

    Args:
        strategy: Lightning's, `trainer.strategy`.
    """
    trial = current_trial()
    if trial is None or trial.options.pruner is None or trial.options.why_not_pruned(strategy):
        return []
    return [Pruning(trial)]
