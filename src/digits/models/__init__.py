"""Networks, each a LightningModule in a file of its own."""

from digits.models.baseline import BaselineClassifier
from digits.models.classifier import Classifier
from digits.models.cnn import CnnClassifier
from digits.models.dropout import DropoutClassifier
from digits.models.noise import NoiseClassifier

__all__ = [
    "BaselineClassifier",
    "Classifier",
    "CnnClassifier",
    "DropoutClassifier",
    "NoiseClassifier",
]
