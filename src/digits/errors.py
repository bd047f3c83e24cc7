"""The one exception for what a user can mend."""


class DigitsError(Exception):
    """A mistake or an outside fault, told in one line: what is wrong, and what to type instead."""
