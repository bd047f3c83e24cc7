"""Sweeps: many runs by one command, which is best, and what went wrong."""
