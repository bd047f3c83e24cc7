"""The overrides of a sweep."""

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf


def parsed(config: DictConfig, loader: ConfigLoader) -> list[Override]:
    """Return the overrides of a sweep: of `hydra.sweeper.params`, then of the command line."""
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    lines = [f"{key}={value}" for key, value in params.items()]
    parser = OverridesParser.create(config_loader=loader)
    return parser.parse_overrides(lines + list(config.hydra.overrides.task))
