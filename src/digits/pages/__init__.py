"""Findings as tables and pictures: on the screen, and as one HTML file."""
