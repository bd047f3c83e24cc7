"""Networks and the classifiers that train them.

Names are resolved lazily: `digits.models.networks` needs torch alone, the classifiers Lightning.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from digits.models.classifier import Classifier
    from digits.models.classifiers import (
        BaselineClassifier,
        CnnClassifier,
        DropoutClassifier,
        NoiseClassifier,
    )

__all__ = [
    "BaselineClassifier",
    "Classifier",
    "CnnClassifier",
    "DropoutClassifier",
    "NoiseClassifier",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from digits.models import classifiers

    return getattr(classifiers, name)


def __dir__() -> list[str]:
    return __all__
