"""Stub."""

from digits.augmentation import Augmentation

__all__ = ["Augmentation"]
