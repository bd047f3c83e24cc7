"""Searches for good options with Optuna: `python train.py -m hydra/sweeper=optuna ...`."""
