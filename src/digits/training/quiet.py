"""What Lightning says that no user of this project needs to read."""

import logging
import warnings


def quieten_lightning() -> None:
    """Sends Lightning's log to train.log, and drops the warnings that do not apply here."""
    for name in ("pytorch_lightning", "lightning_fabric"):  # to train.log, not to the screen
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # The data is in memory, so there is nothing for worker processes to do.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    # It is not empty when a run is resumed.
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    # A use inside Lightning of something that torch will remove.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")
    # SafeStop's checkpoints are of a step within an epoch, and it goes on from there.
    warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before")
    # A stack is one of Lightning's batches, so an epoch has few of them.
    warnings.filterwarnings(
        "ignore", message=".*The number of training batches.*is smaller than the logging interval.*"
    )
