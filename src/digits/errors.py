"""Exceptions that are not bugs."""


class DigitsError(Exception):
    """A mistake or an outside fault, told in one line: what is wrong, and what to type instead."""


class Pruned(Exception):  # noqa: N818 - nothing is wrong
    """A search has ended a run early, because others did better by then."""


class Terminated(SystemExit):
    """SIGTERM has asked a run to end, which can be resumed: exit code 143, 128 and its number."""

    def __init__(self) -> None:
        super().__init__(143)
