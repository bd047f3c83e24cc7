"""Stub: names that the final module has."""

from digits.config.errors import explain

__all__ = ["explain"]
