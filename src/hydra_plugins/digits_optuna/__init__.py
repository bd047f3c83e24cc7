"""Hydra's sweeper `optuna`."""
