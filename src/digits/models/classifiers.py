"""Stub."""

from digits.models import (
    BaselineClassifier,
    CnnClassifier,
    DropoutClassifier,
    NoiseClassifier,
)

__all__ = ["BaselineClassifier", "CnnClassifier", "DropoutClassifier", "NoiseClassifier"]
