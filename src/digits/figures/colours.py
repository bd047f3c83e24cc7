"""Colours that colour-blind readers tell apart, too."""

COLOURS = ("#1f77b4", "#d95f02", "#1b9e77")
"""Of training, validation and test."""
