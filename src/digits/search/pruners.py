"""What decides that a trial is hopeless."""

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner

NUM_STARTUP_TRIALS = 5
"""Trials that have to be complete before there is a median to speak of."""

FIRST_EPOCH = 2
"""The first epoch after which the median prunes: after one, networks have just begun to differ."""


def make_pruner(name: str | None, max_epochs: int) -> BasePruner:
    """Makes a pruner, for which an epoch, counted from 1, is a step.

    Args:
        name: "median": a trial ends that is worse than half of the others were after so many
            epochs (Golovin et al., "Google Vizier", KDD 2017); "hyperband": trials compete in
            brackets that look after 1, 3, 9, ... epochs, and the best third goes on (Li et al.,
            JMLR 2018); `None`: all trials go to their end.
        max_epochs: of a whole trial.
    """
    if name == "median":
        return MedianPruner(n_startup_trials=NUM_STARTUP_TRIALS, n_warmup_steps=FIRST_EPOCH)
    if name == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=max_epochs, reduction_factor=3)
    assert name is None
    return NopPruner()
