"""Stub."""

from digits.schedules import constant, cosine, onecycle

__all__ = ["constant", "cosine", "onecycle"]
