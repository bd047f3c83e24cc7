"""What conf/config.yaml can ask for in `${...}`, beyond what OmegaConf and Hydra know."""

from omegaconf import OmegaConf

from digits.config.resolvers import help_choices, help_values
from digits.config.resolvers import job_name, run_name
from digits.config.resolvers import jobs_at_once


def register_resolvers() -> None:
    """Makes the functions known under their names; `train.py` calls this before Hydra composes."""
    for function in (run_name, job_name, jobs_at_once, help_choices, help_values):
        OmegaConf.register_new_resolver(function.__name__, function, replace=True)
