"""The networks, as plain torch modules."""

from digits.ensembles.average import AverageOfNetworks as Ensemble

__all__ = ["Ensemble"]
