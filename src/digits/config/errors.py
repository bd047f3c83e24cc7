"""Stub: names that the final module has."""

from digits.config.explain import explain

__all__ = ["explain"]
