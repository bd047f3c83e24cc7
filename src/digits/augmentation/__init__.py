"""Training images that are moved and bent a little at random, a whole batch at a time."""

from digits.augmentation.augment import Augmentation

__all__ = ["Augmentation"]
