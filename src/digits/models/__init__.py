"""Networks, each a LightningModule in a file of its own."""

from digits.models.baseline import BaselineClassifier
from digits.models.classifier import Classifier
from digits.models.dropout import DropoutClassifier

__all__ = ["BaselineClassifier", "Classifier", "DropoutClassifier"]
