"""Stub."""

from digits.training.checkpoints import RunCheckpoint

__all__ = ["RunCheckpoint"]
