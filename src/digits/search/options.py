"""Stub: the limits are in config/schema."""

from digits.config.schema import SearchOptions
from digits.config.schema import read_search_options as read_options

OBJECTIVES = {"val/accuracy": "maximize", "val/loss": "minimize"}
EACH_EPOCH = ("val/accuracy", "val/loss")
NUM_TRIALS = 20

__all__ = ["EACH_EPOCH", "NUM_TRIALS", "OBJECTIVES", "SearchOptions", "in_words", "read_options"]


def in_words(objective: str, value: float) -> str:
    """Return a value of an objective as a person reads it."""
    if objective.endswith("accuracy"):
        return f"{value:.2%}"
    return f"{value:,.0f}" if objective.startswith("num_") else f"{value:.4g}"
