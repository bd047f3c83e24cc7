"""Pruning: a Lightning callback that ends a trial early once others did better by then.

conf/hydra/sweeper/optuna.yaml adds it to the configuration, and the search its trial's number to
each job's. A trial may train in another process than the search; they share the study's file.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning import Callback, LightningModule, Trainer

from digits.errors import Pruned
from digits.search.space import in_words, why_not_pruned

if TYPE_CHECKING:
    from optuna.trial import Trial


class Pruning(Callback):
    """What tells the study how a trial is doing after each epoch, and ends a hopeless trial.

    Does nothing outside a search, where `trial`, its number in the study, is `None`.
    """

    def __init__(
        self,
        trial: int | None = None,
        sweep_dir: str = "",
        objectives: Sequence[str] = ("val/accuracy",),
        pruner: str | None = None,
    ) -> None:
        self.number, self.sweep_dir = trial, Path(sweep_dir)
        self.objective, self.pruner = objectives[0], pruner
        self.prunes = trial is not None and pruner is not None and not why_not_pruned(objectives)
        self._open = ExitStack()
        self._trial: Trial | None = None
        self._reported: set[int] = set()
        self._validated_epoch = -1

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.number is None or not self.prunes:
            return
        import optuna

        from digits.search.study import make_pruner, open_storage, open_trial

        storage = self._open.enter_context(open_storage(self.sweep_dir))
        pruner = make_pruner(self.pruner, trainer.max_epochs or 1)
        study = optuna.load_study(study_name=self.sweep_dir.name, storage=storage, pruner=pruner)
        self._trial = open_trial(study, storage, self.number)
        self._reported = set(study.get_trials()[self.number].intermediate_values)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated_epoch = trainer.current_epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch, value = trainer.current_epoch + 1, trainer.callback_metrics.get(self.objective)
        if self._trial is None or value is None or self._validated_epoch != trainer.current_epoch:
            return
        if epoch not in self._reported:  # by a run that was stopped before it wrote its checkpoint
            self._trial.report(float(value), epoch)
        # After the last epoch there is nothing to save.
        if epoch < (trainer.max_epochs or 1) and self._trial.should_prune():
            reached = in_words(self.objective, float(value))
            raise Pruned(f"after epoch {epoch} of {trainer.max_epochs}, {reached}")

    def on_fit_end(self, *_: Any) -> None:
        self._open.close()

    def on_exception(self, *_: Any) -> None:
        self._open.close()
