"""An ensemble as one of the networks that model.pt can hold."""

from collections.abc import Mapping, Sequence
from typing import Any

from digits.ensembles.average import AverageOfNetworks, NormalizedNetwork
from digits.models.classifier import Classifier
from digits.recorded import network_class
from digits.sound import is_normalization


class EnsembleClassifier(Classifier):
    """Averages the probabilities of trained networks, each with its own normalization.

    It takes pixels in [0, 1] as they are: its own normalization is mean 0, standard deviation 1.

    Args:
        members: what model.pt of each member holds besides the weights; its `model`, `arguments`
            and `normalization` are used here.

    Raises:
        DigitsError: a member's network cannot be imported, or takes no such arguments.
        ValueError: there is no member, or a normalization is impossible.
    """

    def __init__(self, members: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        if not members:
            raise ValueError("an ensemble needs a member")
        self.network = AverageOfNetworks([_member(each) for each in members])


def _member(record: Mapping[str, Any]) -> NormalizedNetwork:
    normalization = record["normalization"]
    if not is_normalization(normalization):
        raise ValueError(f"a member's normalization is {normalization!r:.60}")
    kind = network_class("a member", record["model"])
    network = kind(**record["arguments"]).network
    return NormalizedNetwork(network, normalization["mean"], normalization["std"])
